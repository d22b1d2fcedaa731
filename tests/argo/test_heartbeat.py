"""Nobody holds a run in pods: its heartbeat says whether any of them is at work."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_submit import StandIn
from tests.s3.servers import Clock, S3Server, move_servers_by
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.cli.main import invoke, root
from trading_runtime.results.store import open_store
from trading_runtime.runs.heartbeat import Heartbeat, has_pods
from trading_runtime.runs.overview import overview
from trading_runtime.storage.folders import LocalFolder
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

ALIVE = "runs/one/alive"


@pytest.fixture
def clock(storage: S3Server, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the storage."""
    assert storage.endpoint
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    return clock


def test_a_run_whose_pods_are_gone_has_died_within_two_minutes_and_can_be_ended(
    small: SmallExperiment, bucket: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    results = f"{bucket}/results"
    path = small.write(results=results, parameters={"every": [20]})
    batches = run_plan_step(str(path), "one", PodSettings(batch_seconds=1e-3)).batches
    run_batch_step(results, "one", BatchOrder(0))
    named = ["one", "--results", results]
    store = open_store(results)
    # As after `argo terminate`: no pod follows. At first it cannot be told from a pause.
    clock.now += 60
    assert overview(store, "one").status == "running"
    assert invoke(root, ["runs", "summarise", *named]) == 2
    assert "running in pods, or was until 100 s ago" in capsys.readouterr().err

    clock.now += 60
    assert invoke(root, ["runs", "list", "--results", results]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["one", "died"]
    assert invoke(root, ["runs", "show", *named]) == 0
    shown = capsys.readouterr().out
    assert "no pod has worked on it for 100 s (its workflow could not be asked: one" in shown
    assert f"argo submit --from workflowtemplate/backtest -p experiment={path}" in shown
    assert invoke(root, ["runs", "watch", *named]) == 5
    assert "one: died; 1/" in capsys.readouterr().err
    assert invoke(root, ["runs", "stop", *named]) == 0
    # Should a pod come after all, it ends at once.
    assert S3Folder(results).has("runs/one/stop")
    assert batches > 1
    assert invoke(root, ["runs", "summarise", *named]) == 5
    assert overview(store, "one").status == "incomplete"
    assert not S3Folder(results).has(ALIVE)
    assert invoke(root, ["runs", "check", *named]) == 0


NAME = "backtest-x7k2p"


@pytest.fixture
def argo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """What stands in for ``argo``."""
    stand_in = StandIn(tmp_path)
    monkeypatch.setenv("ARGO", str(stand_in.path))
    return stand_in


def test_a_run_whose_workflow_goes_on_waits_and_says_for_what(
    small: SmallExperiment,
    bucket: str,
    clock: Clock,
    argo: StandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = small.write(results=f"{bucket}/results", parameters={"every": [20]})
    run_plan_step(str(path), "one", PodSettings(batch_seconds=1e-3, workflow=f"backtests/{NAME}"))
    named = ["one", "--results", f"{bucket}/results"]
    pending = {"type": "Pod", "phase": "Pending", "message": "0/1 nodes are available"}
    full = {"status": {"phase": "Running", "nodes": {"a": pending, "b": pending}}}
    argo.write(get=[json.dumps(full)], list=[NAME])
    # While pods may be at work, nobody is asked.
    assert invoke(root, ["runs", "list", *named[1:]]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["one", "running"]
    assert argo.calls == []

    clock.now += 120
    for command in ("runs", "results"):
        assert invoke(root, [command, "list", *named[1:]]) == 0
        assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["one", "waiting"]
    assert invoke(root, ["runs", "show", *named]) == 0
    why = f"workflow backtests/{NAME} is Running; 2 pods are pending: 0/1 nodes are available; 3"
    assert why in (shown := capsys.readouterr().out)
    assert f"trading-runtime runs stop one --results {bucket}/results" in shown

    argo.write(get=[json.dumps(full | {"spec": {"suspend": True}})])
    assert invoke(root, ["runs", "summarise", *named]) == 2
    said = f"workflow backtests/{NAME} is suspended; 'argo resume -n backtests {NAME}' continues"
    assert said in capsys.readouterr().err
    assert invoke(root, ["runs", "stop", *named]) == 0
    capsys.readouterr()

    calls = len(argo.calls)
    ended = {"status": {"phase": "Failed", "message": "Stopped with strategy 'Terminate'"}}
    # A look that fails is no news of a workflow that has been seen.
    looks = [json.dumps(full), "Error: connection refused", json.dumps(full), json.dumps(ended)]
    argo.write(get=[*looks[:1] * calls, *looks])
    assert invoke(root, ["runs", "watch", *named, "--every", "0.1"]) == 5
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].endswith("2 pods are pending: 0/1 nodes are available")
    assert lines[-1].startswith("one: died; 0/")
    assert invoke(root, ["runs", "show", *named]) == 0
    gone = f"workflow backtests/{NAME} ended as Failed: Stopped with strategy 'Terminate', with"
    assert gone in capsys.readouterr().out

    argo.write(get=[f'Error: workflows.argoproj.io "{NAME}" not found'])
    assert invoke(root, ["runs", "show", *named]) == 0
    assert f"workflow backtests/{NAME} was deleted, with 3 tasks left" in capsys.readouterr().out

    argo.write(get=["Error: connection refused"])
    assert invoke(root, ["runs", "show", *named]) == 0
    assert "its workflow could not be asked" in capsys.readouterr().out


def test_a_list_of_runs_asks_for_all_workflows_of_a_namespace_at_once(
    small: SmallExperiment,
    bucket: str,
    clock: Clock,
    argo: StandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small.write(results=f"{bucket}/results", parameters={"every": [20]})
    places = ("backtests/one", "backtests/two", "backtests/three", "others/four")
    for place in places:
        settings = PodSettings(workflow=place)
        run_plan_step(str(small.path), place.rpartition("/")[2], settings)
    clock.now += 120
    # The first question is about the run "four".
    argo.write(list=["No workflows found", "one\nthree\nfive"])

    def listed() -> dict[str, str]:
        assert invoke(root, ["runs", "list", "--results", f"{bucket}/results", "--json"]) == 0
        return {each["run_id"]: each["status"] for each in json.loads(capsys.readouterr().out)}

    assert listed() == {"one": "waiting", "two": "died", "three": "waiting", "four": "died"}
    asked = [call[-1] for call in argo.calls]
    assert sorted(asked) == ["backtests", "others"]
    assert argo.calls[0][:-2] == ["list", "--running", "--output", "name"]

    # A cluster that cannot be asked is asked once.
    argo.write(list=["Error: connection refused"])
    assert listed() == dict.fromkeys(("one", "two", "three", "four"), "died")
    assert len(argo.calls) == len(asked) + 1


@pytest.mark.parametrize("ahead", [300, -300])
def test_whether_pods_work_depends_on_no_clock_but_the_storage_s(
    ahead: float, bucket: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = S3Folder(f"{bucket}/results")
    with Heartbeat(objects, "one") as heartbeat:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + clock.passed + ahead)
        clock.now += 90
        assert has_pods(objects, "one")
        heartbeat.beat()
        clock.now += 90
        assert has_pods(objects, "one")
    clock.now += 15
    assert not has_pods(objects, "one")


def test_many_pods_write_as_often_as_one(tmp_path: Path) -> None:
    objects = LocalFolder(tmp_path)
    pods = [Heartbeat(objects, "one") for _ in range(3)]
    for pod in pods:
        pod.beat()  # the last one made is the only one that has not been written over
    writers = []
    for pod in pods * 4:
        before = objects.read(ALIVE)
        pod.beat()
        after = objects.read(ALIVE)
        if after != before:
            writers.append(json.loads(after)["pod"])

    assert len(writers) == 4
    assert len(set(writers)) == 1


def test_a_run_that_was_removed_at_work_is_not_made_anew_by_a_heartbeat(tmp_path: Path) -> None:
    objects = LocalFolder(tmp_path)
    heartbeat = Heartbeat(objects, "one")
    objects.remove(ALIVE)
    for _ in range(3):
        heartbeat.beat()

    assert not objects.has(ALIVE)
    assert not has_pods(objects, "one")
