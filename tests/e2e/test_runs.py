"""From a git URL to a run in pods: the bytes are a laptop's, and nothing is computed twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.servers import GitServer
    from tests.e2e.site import Experiment, Site
    from tests.e2e.workflows import Workflow


@pytest.fixture(scope="module")
def experiment(site: Site) -> Experiment:
    return site.experiment("grid")


@pytest.fixture(scope="module")
def first(site: Site, image: str, experiment: Experiment) -> Workflow:
    """The experiment's first run: no parameter but the experiment."""
    assert image
    return site.backtests.succeeded(experiment.submit())


def metadata(site: Site, workflow: Workflow) -> dict[str, Any]:
    """Return the metadata of a workflow's run."""
    return dict(json.loads(site.run_file(workflow.name, "metadata.json")))


def computed(site: Site, workflow: Workflow) -> int:
    """Return how many tasks the pods of a workflow's run computed, as its journal tells."""
    lines = site.run_file(workflow.name, "journal.jsonl").splitlines()
    return [json.loads(line)["event"] for line in lines].count("task_completed")


def test_the_image_is_built_of_the_commit_that_was_asked_for(
    build: Workflow, git_server: GitServer
) -> None:
    assert build.outputs["commit"] == git_server.commit
    assert build.outputs["image"].endswith("@" + build.outputs["digest"])


def test_pods_give_the_bytes_of_a_laptop(first: Workflow, experiment: Experiment) -> None:
    # Three days, two points.
    assert json.loads(first.outputs["counts"])["ok"] == 6
    assert first.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]
    # Its tasks, though a pod ends before Argo reads how far it is, and plan, check and summary.
    assert first.content["status"]["progress"] == "9/9"


def test_the_image_is_in_the_metadata_of_the_run(site: Site, first: Workflow, image: str) -> None:
    assert metadata(site, first)["image"] == image


def test_the_report_is_an_artifact_that_argo_shows(first: Workflow) -> None:
    [summary] = first.pods("summary")
    artifacts = {item["name"]: item for item in summary["outputs"]["artifacts"]}
    assert artifacts["report"]["archive"] == {"none": {}}
    assert artifacts["report"]["s3"]["key"].endswith("/report")


def test_a_second_submit_computes_nothing(
    site: Site, first: Workflow, experiment: Experiment
) -> None:
    again = site.backtests.succeeded(experiment.submit())
    assert again.pods("batch") == []
    assert computed(site, again) == 0
    assert again.outputs["run_digest"] == first.outputs["run_digest"]


def test_a_wider_grid_computes_only_the_new_tasks(site: Site, first: Workflow) -> None:
    assert first.phase == "Succeeded"
    wider = site.experiment("wider", parameters={"fast": [5, 10, 15], "slow": [30]})
    run = site.backtests.succeeded(wider.submit())
    assert json.loads(run.outputs["counts"])["ok"] == 9
    assert computed(site, run) == 3
    assert run.outputs["run_digest"] == wider.run_on_laptop()["run_digest"]


def test_a_strategy_that_the_image_does_not_hold_is_sent_along(site: Site, image: str) -> None:
    experiment = site.awkward("sent", parameters={"every": [20, 30]})
    sent = experiment.send("--image", image)
    run = site.backtests.succeeded(sent["workflow"])
    assert run.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]
