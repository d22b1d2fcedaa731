"""``submit``: what is checked and shown, what is sent, and how the run is followed."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.argo.conftest import bucket, pods, server, storage
from tests.argo.test_steps import download, tasks_of, upload
from trading_runtime import api
from trading_runtime.argo import argo_command
from trading_runtime.argo.ask_step import run_ask_step
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.cli.main import invoke, root
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.results.store import open_store
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from tests.argo.pods import EndedStep, Pods
    from tests.small_experiment import SmallExperiment

__all__ = ["bucket", "pods", "server", "storage"]

IMAGE = f"ghcr.io/owner/backtest@sha256:{'ab' * 32}"


class StandIn:
    """The stand-in for ``argo``, its answers, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(Path(__file__).with_name("argo_stand_in.py"), folder)
        self.path = folder / "argo"
        self.path.write_text(f'#!/bin/sh\nexec {sys.executable} "{folder}/argo_stand_in.py" "$@"\n')
        self.path.chmod(0o755)
        self.answers = {"submit": ["backtest-x7k2p"], "get": []}
        self.write()

    def write(self, **answers: list[str]) -> None:
        self.answers |= answers
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def parameters(self) -> dict[str, str]:
        """Parameters of the latest submission."""
        call = next(call for call in reversed(self.calls) if call[0] == "submit")
        given = [call[at + 1] for at, part in enumerate(call) if part == "-p"]
        return dict(text.split("=", 1) for text in given)


@pytest.fixture
def argo(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """An ``argo`` command that starts nothing."""
    stand_in = StandIn(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("ARGO", str(stand_in.path))
    monkeypatch.setattr(argo_command, "_WATCH_SECONDS", 0.0)
    return stand_in


@pytest.fixture
def remote(small: SmallExperiment, small_dataset: Path, bucket: str) -> SmallExperiment:
    """The small experiment with data and results in S3; its strategy is a file beside it."""
    upload(small_dataset, f"{bucket}/data")
    small.write(dataset={"path": f"{bucket}/data"}, results=f"{bucket}/results")
    return small


def stored(experiment: SmallExperiment) -> set[str]:
    return set(S3Folder(experiment.content["results"]).sizes())


def workflow(phase: str, progress: str, *pods: tuple[str, str], message: str = "") -> str:
    """A workflow as ``argo get`` shows it; ``pods`` are templates with their exit codes."""
    nodes = {
        str(number): {
            "type": "Pod",
            "templateName": name,
            "finishedAt": f"2024-01-01T00:00:{number:02d}Z",
            "outputs": {"exitCode": code},
            "message": f"main: Error (exit code {code}): what {name} said",
        }
        for number, (name, code) in enumerate(pods)
    }
    status = {"phase": phase, "progress": progress, "message": message, "nodes": nodes}
    return json.dumps({"status": status})


def test_pods_that_run_what_was_submitted_come_to_the_laptop_s_digest(
    remote: SmallExperiment,
    argo: StandIn,
    pods: Pods,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    laptop = api.run(remote.write(results=str(tmp_path / "laptop")), run_id="one")
    there = {
        f"tasks/{path.relative_to(tmp_path / 'laptop' / 'tasks').as_posix()}": path.read_bytes()
        for path in (tmp_path / "laptop" / "tasks").rglob("*")
        if path.is_file()
    }
    results = remote.content["dataset"]["path"].replace("/data", "/results")
    path = remote.write(results=results)

    assert invoke(root, ["submit", str(path), "--run-id", "one", "--image", IMAGE]) == 0
    sent = argo.parameters
    shutil.rmtree(remote.folder / "laptop")
    (remote.folder / "counting.py").unlink()  # pods have only what was sent
    ended = pods.run(
        sent["experiment"], sent["run-id"], "--code", sent["code"], "--image", sent["image"]
    )

    assert ended.code == 0, ended.errors
    assert ended.outputs["run_digest"] == laptop.result["run_digest"]
    here = download(results)
    assert tasks_of(here) == there
    metadata = json.loads(here["runs/one/metadata.json"])
    assert (metadata["image"], metadata["code_archive"]) == (IMAGE, sent["code"])
    assert f"code/{sent['code']}.tar" in here

    # Another machine has neither file nor code: both are with the results.
    where = ["one", "--results", results]
    for words in (
        ["verify", *where, "--sample", "1"],
        ["replay", *where, "--point", "0", "--partition", "0", "--log-level", "error"],
        ["runs", "summarise", *where],
    ):
        assert invoke(root, words) == 0, words
    shown = "".join(capfd.readouterr())
    assert f"report {results}/runs/one/report/index.html" in shown
    for address in re.findall(r"\S*trading-runtime-\w*-\S*|s3:/[^/]\S*", shown):
        pytest.fail(f"a place that is none is shown: {address}")


def test_the_template_is_submitted_with_all_that_the_pods_need(
    remote: SmallExperiment, argo: StandIn
) -> None:
    options = ["--run-id", "one", "--namespace", "research", "--batch-seconds", "0.5"]
    options += ["-p", "memory-mib=8192", "-p", 'node-selector={"spot":"true"}']

    assert invoke(root, ["submit", str(remote.path), *options]) == 0

    (call,) = argo.calls
    assert call[:3] == ["submit", "--from", "workflowtemplate/backtest"]
    assert call[-2:] == ["--namespace", "research"]
    assert argo.parameters.keys() == {
        "experiment", "run-id", "code", "batch-seconds", "most-batches", "memory-mib",
        "node-selector",
    }  # fmt: skip
    assert argo.parameters["batch-seconds"] == "0.5"
    assert argo.parameters["memory-mib"] == "8192"
    assert argo.parameters["node-selector"] == '{"spot":"true"}'


def test_a_parameter_that_no_pod_could_be_made_with_ends_with_2_before_anything_is_sent(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["submit", str(remote.path), "-p", "node-selector=garbage"]) == 2

    assert "-p node-selector: 'garbage' is not accepted" in capsys.readouterr().err
    assert argo.calls == []
    assert stored(remote) == set()


def test_code_that_the_image_holds_is_not_sent(remote: SmallExperiment, argo: StandIn) -> None:
    remote.write(
        strategy={
            "path": "trading_runtime.strategies.do_nothing:DoNothing",
            "config": {},
        },
        parameters={},
    )

    assert invoke(root, ["submit", str(remote.path)]) == 0

    assert "code" not in argo.parameters
    assert not [name for name in stored(remote) if name.startswith("code/")]


def test_a_dry_run_shows_the_plan_and_sends_nothing(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["submit", str(remote.path), "--run-id", "one", "--dry-run"]) == 0

    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["tasks"] == "12, of which 0 are stored already"
    assert lines["pods"] == "4"
    assert lines["estimate"] == "not known before a first run"
    assert lines["code"].startswith("1 files, ")
    assert argo.calls == []
    assert stored(remote) == set()


def test_what_is_stored_is_not_planned_for_pods(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    api.run(remote.path, run_id="before")
    capsys.readouterr()
    remote.write(parameters={"every": [20, 30, 40, 50, 60]})

    assert invoke(root, ["submit", str(remote.path), "--dry-run", "--json"]) == 0

    facts = json.loads(capsys.readouterr().out)
    assert (facts["tasks"], facts["pending"], facts["pods"]) == (15, 3, 1)
    assert 0 < facts["estimated_seconds"] < 60
    assert argo.calls == []


def test_the_run_is_followed_to_its_end_and_its_exit_code_is_taken(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    api.run(remote.path, run_id="one", workers=1)  # what pods write, a process writes
    ran = [("plan", "0"), ("batch", "0"), ("summary", "5")]
    argo.write(
        get=[
            "Error: connection refused",
            workflow("Running", "3/12"),
            workflow("Running", "3/12"),
            workflow("Failed", "12/12", *ran, message="child 'x' failed"),
        ]
    )

    assert invoke(root, ["submit", str(remote.path), "--run-id", "one", "--watch"]) == 5

    # Of tasks, by the run's journal, whatever Argo has heard of them.
    shown = re.sub(r", [0-9.]+ tasks/s", "", capsys.readouterr().err).splitlines()
    assert shown == [
        "backtest-x7k2p: Running 12/12 tasks",
        "backtest-x7k2p: Failed 12/12 tasks main: Error (exit code 5): what summary said",
    ]


def test_nothing_is_sent_while_the_kill_switch_is_on(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    KillSwitch(open_store(remote.content["results"])).activate("a trial")
    before = stored(remote)

    assert invoke(root, ["submit", str(remote.path), "--run-id", "one"]) == 10
    assert "run 'one' is not started: the kill switch is on" in capsys.readouterr().err
    assert argo.calls == []
    assert stored(remote) == before


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (workflow("Succeeded", "12/12", ("plan", "0"), ("summary", "0")), 0),
        (workflow("Failed", "0/2", ("plan", "3"), ("summary", "2")), 3),
        (workflow("Failed", "0/2", ("plan", "75"), ("plan", "2"), ("summary", "2")), 2),
        (workflow("Failed", "9/12", ("plan", "0"), ("batch", "137"), ("summary", "5")), 5),
        (workflow("Failed", "9/12", ("plan", "0"), ("ask", "3"), ("summary", "2")), 3),
        (workflow("Failed", "9/12", ("plan", "0"), ("summary", "0")), 5),
        (workflow("Error", "0/1", message='pods "x" is forbidden'), 5),
    ],
)  # fmt: skip
def test_the_exit_code_is_that_of_the_step_that_decided(
    remote: SmallExperiment, argo: StandIn, ended: str, code: int
) -> None:
    argo.write(get=[ended])

    assert invoke(root, ["submit", str(remote.path), "--watch"]) == code


def test_a_cluster_that_is_gone_ends_the_watching_and_not_the_run(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    argo.write(get=["Error: dial tcp 10.0.0.1:6443: connect: connection refused"])

    assert invoke(root, ["submit", str(remote.path), "--watch"]) == 75

    assert "backtest-x7k2p continues, but cannot be seen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'Error: workflowtemplates.argoproj.io "backtest" not found',
            "apply argo/workflowtemplate-backtest.yaml",
        ),
        ("Error: invalid configuration: no configuration has been provided", "set KUBECONFIG"),
        ("Error: dial tcp [::1]:8080: connect: connection refused", "is the cluster up"),
    ],
)
def test_what_argo_says_is_passed_on_with_what_to_do(
    remote: SmallExperiment,
    argo: StandIn,
    capsys: pytest.CaptureFixture[str],
    said: str,
    shown: str,
) -> None:
    argo.write(submit=[said])

    assert invoke(root, ["submit", str(remote.path)]) == 2

    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: argo submit: {said}")
    assert shown in error


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a submission is refused with."""
    assert invoke(root, ["submit", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_without_the_argo_command_nothing_is_sent(
    remote: SmallExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARGO", "no-such-argo")

    assert "'no-such-argo': there is no such command" in refused(capsys, str(remote.path))
    assert stored(remote) == set()


def test_data_and_results_on_this_machine_are_refused(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    s3 = remote.content["results"]
    remote.write(results="results")
    assert f"results: {tmp_path / 'results'} is a folder of this machine" in refused(
        capsys, str(remote.path)
    )
    remote.write(results=s3.replace("/results", "/{{workflow.name}}"))
    assert "would be read by Argo" in refused(capsys, str(remote.path))
    assert argo.calls == []


@pytest.mark.parametrize("image", ["ghcr.io/owner/backtest:latest", "x", "", f"{IMAGE}0", "a b"])
def test_an_image_without_a_digest_is_refused(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str], image: str
) -> None:
    assert "names no digest" in refused(capsys, str(remote.path), "--image", image)
    assert argo.calls == []


def test_an_id_that_has_another_plan_is_refused_before_anything_is_sent(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    api.run(remote.path, run_id="one")
    capsys.readouterr()
    remote.write(seed=2)

    assert "'one' exists with another plan" in refused(capsys, str(remote.path), "--run-id", "one")
    assert argo.calls == []


def test_code_at_a_path_of_this_machine_alone_is_refused(
    remote: SmallExperiment, argo: StandIn, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "prices.py").write_text("tick = 1\n")
    strategy: dict[str, Any] = remote.content["strategy"]
    remote.write(strategy=strategy | {"code": [str(library)]})

    line = refused(capsys, str(remote.path))
    assert f"strategy.code[0]: {library} is a path of this machine alone" in line
    assert argo.calls == []


def test_a_strategy_at_an_absolute_path_is_sent_under_a_relative_one(
    remote: SmallExperiment, argo: StandIn
) -> None:
    strategy: dict[str, Any] = remote.content["strategy"]
    remote.write(strategy=strategy | {"path": f"{remote.folder}/counting.py:Counting"})

    assert invoke(root, ["submit", str(remote.path)]) == 0

    place, _, name = argo.parameters["experiment"].rpartition("/")
    sent = json.loads(S3Folder(place).read(name))
    assert sent["strategy"]["path"] == "counting.py:Counting"


def planned(argo: StandIn, pods: Pods) -> EndedStep:
    """Run the step ``plan`` of what was submitted as run ``one``."""
    sent = argo.parameters
    options = ["--config", sent["experiment"], "--run-id", "one", "--code", sent["code"]]
    return pods.step("plan", *options, "--image", IMAGE)


def test_an_image_with_other_packages_than_the_laptop_s_is_refused_by_its_plan_step(
    remote: SmallExperiment, argo: StandIn, pods: Pods
) -> None:
    assert invoke(root, ["submit", str(remote.path), "--run-id", "one"]) == 0
    place = S3Folder(argo.parameters["experiment"].rpartition("/")[0])
    said = json.loads(place.read("submission.json"))
    assert said["packages"]["numpy"] == np.__version__
    packages = said["packages"] | {"numpy": "0.1", "own-package": "3.2"}
    place.write("submission.json", json.dumps(said | {"packages": packages}).encode())

    plan = planned(argo, pods)

    assert plan.code == 2
    theirs = f"numpy 0.1, the image {IMAGE} {np.__version__}"
    assert f"the laptop has {theirs}; own-package 3.2, the image {IMAGE} without it" in plan.message
    assert plan.outputs == {}


def test_a_new_project_is_submitted_from_its_own_folder(
    argo: StandIn,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(root, ["init", str(tmp_path), "--strategy", "rsi"]) == 0
    monkeypatch.chdir(tmp_path)
    raw = ["data", "prepare", "data/raw/example.data.json", "--to", f"{bucket}/example"]
    assert invoke(root, raw) == 0
    experiment = tmp_path / "experiment.yaml"
    experiment.write_text(experiment.read_text().replace("data/example", f"{bucket}/example"))
    (tmp_path / "trading-runtime.toml").write_text(f'results = "{bucket}/results"\n')
    capsys.readouterr()

    options = ["submit", "experiment.yaml", "--image", IMAGE]
    assert invoke(root, [*options, "--dry-run"]) == 0

    assert "code        1 files, " in capsys.readouterr().out
    assert argo.calls == []
    assert S3Folder(f"{bucket}/results").sizes() == {}
    assert invoke(root, options) == 0
    assert argo.parameters["image"] == IMAGE
    assert argo.parameters["experiment"].startswith(f"{bucket}/results/experiments/rsi-")


def test_an_image_with_another_runtime_than_the_laptop_s_is_refused_by_its_plan_step(
    remote: SmallExperiment, argo: StandIn, pods: Pods
) -> None:
    assert invoke(root, ["submit", str(remote.path), "--run-id", "one"]) == 0
    place = S3Folder(argo.parameters["experiment"].rpartition("/")[0])
    said = json.loads(place.read("submission.json"))
    place.write("submission.json", json.dumps(said | {"runtime": "f" * 64}).encode())
    # Which may have another form there.
    place.write("experiment.json", b'{"a key of a later version": 1}')

    plan = planned(argo, pods)

    assert plan.code == 2
    assert "laptop and image differ: the laptop has nautilus_trader " in plan.message
    assert "runtime code ffffffffffff" in plan.message
    assert f"the image {IMAGE} has nautilus_trader" in plan.message
    assert plan.outputs == {}


def test_of_a_search_the_first_generation_is_shown(
    remote: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.write(
        parameters={"every": {"low": 2, "high": 60, "step": 1}},
        search={"method": "tpe", "points": 40, "generation": 4},
    )

    assert invoke(root, ["submit", str(remote.path), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "search      tpe: 40 points at most; below, the first 4" in told
    assert "tasks       12, of which 0 are stored already" in told


@pytest.mark.usefixtures("argo")
def test_a_run_id_of_another_search_is_refused_before_it_is_sent(
    remote: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = {"every": {"low": 2, "high": 60, "step": 1}}
    path = remote.write(parameters=parameters, search={"method": "tpe", "points": 4})
    run_plan_step(str(path), "one", PodSettings())
    run_ask_step(str(path), "one", PodSettings(), 0)
    assert invoke(root, ["submit", str(path), "--run-id", "one", "--image", IMAGE]) == 0

    path = remote.write(search={"method": "tpe", "points": 4, "seed": 8})
    assert invoke(root, ["submit", str(path), "--run-id", "one", "--image", IMAGE]) == 2
    assert "run 'one' exists with another search" in capsys.readouterr().err


def test_the_search_inside_a_split_is_submitted_and_is_that_of_a_laptop(
    remote: SmallExperiment,
    argo: StandIn,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = remote.write(
        parameters={"every": {"low": 2, "high": 60, "step": 1}},
        search={"method": "tpe", "points": 4, "generation": 2},
        validation={"method": "walk-forward", "train_size": 1, "test_size": 1, "nested": True},
    )
    results = str(remote.content["results"])
    assert invoke(root, ["submit", str(path), "--split", "1"]) == 2
    assert "give the id of the run that is validated as --run-id" in capsys.readouterr().err
    assert invoke(root, ["submit", str(path), "--run-id", "one", "--split", "1"]) == 0
    sent = argo.parameters
    steps = sent["experiment"], sent["run-id"], PodSettings(code=sent["code"], batch_seconds=0.001)
    run_plan_step(*steps)
    asked = run_ask_step(*steps, 0)
    while not asked.ended:
        for number in range(asked.batches):
            assert run_batch_step(results, asked.run_id, BatchOrder(number)) == 0
        asked = run_ask_step(*steps, 0)
    run_summary_step(results, sent["run-id"])

    api.run(path, run_id="one", workers=1)
    there = walked(path, results, capsys)
    assert there["splits"][1]["run"] == sent["run-id"]
    in_pods = json.loads(download(results)[f"runs/{sent['run-id']}/metadata.json"])
    assert in_pods["executor"] == "argo"

    laptop = tmp_path / "laptop"
    api.run(remote.write(results=str(laptop)), run_id="one", workers=1)
    here = walked(path, str(laptop), capsys)
    assert here | {"computed_inside": 0} == there | {"computed_inside": 0}
    stored = download(results)
    for name in ("search/000.json", "search/001.json", "points.parquet", "result.json"):
        file = f"runs/{sent['run-id']}/{name}"
        assert stored[file] == (laptop / file).read_bytes(), name


def walked(path: Path, results: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what ``results walk-forward`` of the run ``one`` prints as JSON."""
    capsys.readouterr()
    words = ["results", "walk-forward", "one", "--results", results, "--json"]
    assert invoke(root, [*words, "--experiment", str(path), "--workers", "1"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content
