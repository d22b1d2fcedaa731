"""What Argo's controller does at a time, and after it was restarted.

These tests are in one file, and so in one process: no time comes while the controller is away.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING

from tests.e2e.kept import COMMAND, SECONDS
from tests.e2e.workflows import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.kept import Kept
    from tests.e2e.settings import Settings
    from tests.e2e.site import Site


def test_a_lost_pod_and_a_restarted_controller(site: Site, settings: Settings, image: str) -> None:
    experiment = site.awkward("lost", parameters={"every": [20, 30], "pause_seconds": [12]})
    name = experiment.send("--image", image, "--batch-seconds", "1")["workflow"]
    victim = site.backtests.delete_running(name, "batch")
    if settings.restart_controller:
        run(*settings.restart_controller)
    found = site.backtests.succeeded(name)
    lost = [node for node in found.pods("batch") if node["phase"] != "Succeeded"]
    # A controller that starts anew may make the pod again, and then counts none as lost.
    assert {found.pod_of(node) for node in lost} <= {victim}
    assert found.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]


def test_hours_start_and_stop_it(kept: Callable[[], Kept]) -> None:
    pod = kept()
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=75)
    later = soon + dt.timedelta(minutes=1)
    pod.program(
        ["python", "-c", "import time; time.sleep(10_000)"],
        schedule={
            "start": f"{soon.minute} {soon.hour} * * *",
            "stop": f"{later.minute} {later.hour} * * *",
            "time_zone": "UTC",
        },
    )
    assert pod.sight["phase"] == "stopped"
    pod.wait(lambda: pod.sight["phase"] == "running")
    pod.wait(lambda: pod.sight["phase"] in {"ending", "stopped"})


def test_research_runs_at_its_times_and_not_while_it_is_suspended(site: Site, image: str) -> None:
    assert image
    experiment = site.experiment("nightly", schedule={"cron": "* * * * *", "time_zone": "UTC"})
    path = site.folder / "nightly.json"
    path.write_text(json.dumps(experiment.content))
    namespace = ("--namespace", site.backtests.name)

    def schedule(*words: str) -> str:
        return run(*COMMAND, "schedule", *words, *namespace)

    def workflows() -> list[str]:
        chosen = ("--selector", "workflows.argoproj.io/cron-workflow=nightly", "--output", "name")
        return site.backtests.kubectl("get", "workflows", *chosen).split()

    schedule("apply", str(path))
    try:
        end = time.monotonic() + SECONDS
        while not workflows():
            assert time.monotonic() < end, schedule("show", "nightly")
            time.sleep(1)
        schedule("suspend", "nightly")
        first = workflows()
        time.sleep(75)
        assert json.loads(schedule("show", "nightly", "--json"))["suspended"] is True
        assert workflows() == first
        schedule("resume", "nightly")
        end = time.monotonic() + SECONDS
        while len(workflows()) == len(first):
            assert time.monotonic() < end
            time.sleep(1)
        # What passed meanwhile is not made up.
        assert len(workflows()) == len(first) + 1
        ended = site.backtests.succeeded(first[0].rpartition("/")[2])
        assert json.loads(ended.outputs["counts"])["ok"] == 6
    finally:
        schedule("remove", "nightly")
