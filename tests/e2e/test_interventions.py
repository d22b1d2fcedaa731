"""What `argo stop`, `terminate`, `retry`, `resubmit` and `suspend` leave of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.workflows import run
from trading_runtime.argo.workflow_state import Workflows

if TYPE_CHECKING:
    from tests.e2e.site import Experiment, Site

# Six tasks in one pod, which takes them one after the other.
PAUSES = {"stop": 4, "terminate": 5, "suspend": 3}


def argo(site: Site, *words: str) -> str:
    return run("argo", words[0], "--namespace", site.backtests.name, *words[1:])


@pytest.fixture(scope="module")
def experiments(site: Site) -> dict[str, Experiment]:
    grids = {name: {"every": [20, 30], "pause_seconds": [s]} for name, s in PAUSES.items()}
    return {name: site.awkward(f"to-{name}", parameters=grid) for name, grid in grids.items()}


@pytest.fixture(scope="module")
def acted(site: Site, image: str, experiments: dict[str, Experiment]) -> dict[str, str]:
    """One workflow for each command that ends it or holds it, given while its pod computes."""
    sent = {}
    for command, each in experiments.items():
        name = each.send("--image", image, "--most-batches", "1")["workflow"]
        site.backtests.until(name, lambda now: bool(now.running("batch")))
        argo(site, command, name)
        sent[command] = name
    return sent


def counts(outputs: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(outputs["counts"]))


def state(site: Site, name: str) -> tuple[bool, str]:
    """Return whether a workflow has ended, and why, as ``runs show`` asks for it."""
    found = Workflows().state(f"{site.backtests.name}/{name}")
    assert found is not None
    return found.has_ended, found.why


def test_a_workflow_that_was_terminated_while_it_planned_has_failed(site: Site, image: str) -> None:
    assert image
    name = site.experiment("early").submit()
    site.backtests.until(name, lambda now: bool(now.pods("plan")))
    argo(site, "terminate", name)
    found = site.backtests.ended(name)
    assert found.phase == "Failed"
    assert found.message == "Stopped with strategy 'Terminate'"
    assert found.pods("summary") == []
    argo(site, "delete", name)
    assert state(site, name) == (True, f"workflow {site.backtests.name}/{name} was deleted")


def test_a_suspended_workflow_starts_no_pod_until_it_is_resumed(
    site: Site, acted: dict[str, str]
) -> None:
    name = acted["suspend"]
    # Its pod computes on, and Argo counts its tasks.
    partly = {f"{done}/6" for done in range(1, 6)}
    site.backtests.until(name, lambda now: now.pods("batch")[0].get("progress") in partly)
    held = site.backtests.until(name, lambda now: now.pods("batch")[0]["phase"] == "Succeeded")
    assert held.pods("check") == []
    has_ended, why = state(site, name)
    assert not has_ended
    assert f"is suspended; 'argo resume -n {site.backtests.name} {name}' continues it" in why
    argo(site, "resume", name)
    assert counts(site.backtests.succeeded(name).outputs)["ok"] == 6


def test_a_stopped_workflow_has_a_summary_and_retry_computes_what_is_missing(
    site: Site, acted: dict[str, str], experiments: dict[str, Experiment]
) -> None:
    name = acted["stop"]
    stopped = site.backtests.ended(name)
    assert stopped.phase == "Failed"
    assert stopped.message == "Stopped with strategy 'Stop'"
    before = counts(stopped.outputs)
    assert before["missing"] == 6 - before["ok"] > 0
    [summary] = stopped.pods("summary")
    assert f"incomplete: {before['ok']} of 6 tasks are ok" in summary["message"]

    argo(site, "retry", name)
    found = site.backtests.succeeded(name)
    laptop = experiments["stop"].run_on_laptop()["run_digest"]
    assert (counts(found.outputs)["ok"], found.outputs["run_digest"]) == (6, laptop)


def test_a_terminated_workflow_has_no_summary_and_resubmit_continues_its_run(
    site: Site, acted: dict[str, str]
) -> None:
    name = acted["terminate"]
    found = site.backtests.ended(name)
    assert (found.phase, found.message) == ("Failed", "Stopped with strategy 'Terminate'")
    assert found.pods("summary") == []
    given = {
        item["name"]: item["value"] for item in found.content["spec"]["arguments"]["parameters"]
    }
    metadata = json.loads(site.run_file(given["run-id"], "metadata.json"))
    # Once its heartbeat is old, the run has died, since its workflow has ended.
    assert metadata["status"] == "running"
    assert metadata["workflow"] == f"{site.backtests.name}/{name}"
    assert state(site, name)[0]

    again = argo(site, "resubmit", name, "--output", "name").strip().rpartition("/")[2]
    assert counts(site.backtests.succeeded(again).outputs)["ok"] == 6
    metadata = json.loads(site.run_file(given["run-id"], "metadata.json"))
    assert [each["status"] for each in metadata["history"]] == ["running", "running", "complete"]
