"""Deployments and schedules on a cluster: Kubernetes keeps them up, and the journal tells it."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.workflows import run
from tests.sessions.small_session import SmallSession
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.site import Site

SECONDS = 240
COMMAND = (sys.executable, "-m", "trading_runtime.cli.main")
HUNGRY = "data = []\nwhile True: data.append(b'x' * 1_000_000)"


class Kept:
    """A deployment on the cluster, its file, and what it leaves in S3."""

    def __init__(self, site: Site, image: str, folder: Path, name: str) -> None:
        self.site, self.image, self.name = site, image, name
        self.path = folder / f"{name}.json"
        self.results = f"{site.place}/{name}"
        self.content: dict[str, Any] = {}

    def session(self, **changes: Any) -> None:
        """Apply a session of the example's strategy, with some keys changed from now on."""
        if not self.content:
            content = SmallSession(self.path.parent, self.path.parent).content
            data = content["data"] | {"dataset": f"{self.site.place}/data", "pace": "x60"}
            self.content = content | {"name": self.name, "data": data, "results": self.results}
        self.content |= changes
        self.apply()

    def program(self, command: list[str], **changes: Any) -> None:
        """Apply a program."""
        self.content = {"name": self.name, "program": {"command": command}, **changes}
        self.apply()

    def apply(self) -> None:
        self.path.write_text(json.dumps(self.content))
        addresses = (self.site.settings.endpoint, os.environ["AWS_ENDPOINT_URL"])
        ports = {urlsplit(address).port for address in addresses} - {None}
        given = [word for port in ports for word in ("--egress-port", str(port))]
        self.command("apply", str(self.path), "--image", self.image, *given)

    def command(self, *words: str) -> str:
        """Run a command about deployments in the namespace."""
        return run(*COMMAND, "deployments", *words, "--namespace", self.site.backtests.name)

    @property
    def sight(self) -> dict[str, Any]:
        """How ``deployments list --cluster`` has it."""
        told = json.loads(self.command("list", "--cluster", "--json"))["deployments"]
        return next((item for item in told if item["name"] == self.name), {})

    @property
    def runs(self) -> list[str]:
        """The ids of its sessions, oldest first."""
        return sorted(S3Folder(self.results).folders("runs"))

    def journal(self, run_id: str) -> list[dict[str, Any]]:
        """Return the lines of a session's journal that are in S3, in their order."""
        folder = S3Folder(self.results)
        names = sorted(folder.sizes(f"runs/{run_id}/journal/"))
        lines = [line for name in names for line in folder.read(name).splitlines()]
        return sorted(map(json.loads, lines), key=lambda entry: str(entry["time"]))

    def events(self, run_id: str, name: str) -> list[dict[str, Any]]:
        return [entry for entry in self.journal(run_id) if entry["event"] == name]

    def wait(self, is_so: Callable[[], object], seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"{self.sight}\n{self.shown}"
            time.sleep(1)

    @property
    def shown(self) -> str:
        """What the cluster says of its pods."""
        chosen = ("--selector", f"app.kubernetes.io/instance={self.name}")
        return self.site.backtests.kubectl("describe", "pods", *chosen)[-4_000:]

    def trading(self, at_least: int = 1) -> str:
        """Wait until its latest session trades; return the session's id."""
        self.wait(
            lambda: len(self.runs) >= at_least and self.events(self.runs[-1], "session_connected")
        )
        return self.runs[-1]

    def remove(self) -> None:
        kinds = "deployments,configmaps,networkpolicies,cronworkflows,roles,rolebindings"
        chosen = ("--selector", f"app.kubernetes.io/instance={self.name}", "--wait=false")
        self.site.backtests.kubectl("delete", f"{kinds},serviceaccounts", *chosen)


@pytest.fixture
def kept(
    site: Site, image: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[], Kept]]:
    """Make deployments with names of their own; they are removed in the end."""
    made: list[Kept] = []

    def make() -> Kept:
        number = abs(hash(request.node.name)) % 10_000
        made.append(Kept(site, image, tmp_path, f"kept-{number}-{len(made)}"))
        return made[-1]

    yield make
    for each in made:
        each.remove()


def moment(entry: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(entry["time"])


def fills(entries: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    keys = ("instrument", "side", "quantity", "price", "fee", "at")
    return [tuple(entry["payload"][key] for key in keys) for entry in entries]


def test_a_pod_has_the_fills_of_a_laptop(
    kept: Callable[[], Kept], small_dataset: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "laptop"
    folder.mkdir()
    laptop = SmallSession(folder, small_dataset)
    assert laptop.run().returncode == 0
    pod = kept()
    pod.session(data={"source": "replay", "dataset": f"{pod.site.place}/data", "pace": "burst"})
    # Kubernetes starts it again when the data has ended: the first session is the laptop's.
    pod.wait(lambda: pod.runs and pod.events(pod.runs[0], "session_stopped"))

    mine = fills([entry for entry in laptop.journal() if entry["event"] == "order_filled"])
    assert fills(pod.events(pod.runs[0], "order_filled")) == mine
    assert len(mine) > 20


def test_a_deleted_pod_comes_back_and_continues_its_account(kept: Callable[[], Kept]) -> None:
    pod = kept()
    pod.session()
    first = pod.trading()
    pod.wait(lambda: pod.events(first, "order_filled"))
    pod.site.backtests.kubectl("delete", "pod", pod.sight["pod"], "--wait=false")
    second = pod.trading(at_least=2)

    [started] = pod.events(second, "session_started")
    [stopped] = pod.events(first, "session_stopped")
    assert started["payload"]["carried_from"] == first
    assert moment(stopped) < moment(started), "never two at once"


def test_a_restarted_kubelet_leaves_a_session_alone(kept: Callable[[], Kept]) -> None:
    pod = kept()
    restart = pod.site.settings.restart_kubelet
    if not restart:
        pytest.skip("E2E_RESTART_KUBELET names no command")
    pod.session()
    first = pod.trading()
    run(*restart)
    before = len(pod.events(first, "session_heartbeat"))
    pod.wait(lambda: len(pod.events(first, "session_heartbeat")) > before + 1)

    assert pod.runs == [first]
    assert pod.sight["restarts"] == 0


def test_a_changed_file_rolls_over_and_never_two_trade_at_once(kept: Callable[[], Kept]) -> None:
    pod = kept()
    pod.session()
    first = pod.trading()
    pod.session(seed=2)
    second = pod.trading(at_least=2)

    [stopped], [started] = (
        pod.events(first, "session_stopped"),
        pod.events(second, "session_started"),
    )
    assert moment(stopped) < moment(started)
    lease = json.loads(S3Folder(pod.results).read(f"accounts/{pod.name}/lease.json"))
    assert (lease["token"], lease["session"]) == (2, second)


def test_the_kill_switch_in_s3_ends_a_session_in_a_pod_within_seconds(
    kept: Callable[[], Kept],
) -> None:
    pod = kept()
    pod.session()
    first = pod.trading()
    switched = dt.datetime.now(dt.UTC)
    run(*COMMAND, "kill", "activate", "--reason", "a test", "--results", pod.results)
    pod.wait(lambda: pod.events(first, "session_stopped"))

    [halted] = pod.events(first, "session_halted")
    # It looks every half second, and the command itself takes a moment.
    assert moment(halted) - switched < dt.timedelta(seconds=5)
    pod.wait(lambda: "exit code 10" in pod.sight["why"])


def test_a_crash_loop_is_told_and_costs_the_others_nothing(kept: Callable[[], Kept]) -> None:
    steady, frail = kept(), kept()
    steady.program(["python", "-c", "import time; time.sleep(10_000)"])
    steady.wait(lambda: steady.sight.get("phase") == "running")
    before = steady.sight
    frail.program(["python", "-c", "raise SystemExit(3)"])
    frail.wait(lambda: frail.sight.get("phase") == "crash loop")

    assert "exit code 3" in frail.sight["why"]
    assert steady.sight == before


def test_a_program_above_its_memory_is_told_as_out_of_memory(kept: Callable[[], Kept]) -> None:
    hungry = kept()
    hungry.program(["python", "-c", HUNGRY], limits={"memory": "64 MiB"})
    hungry.wait(lambda: "out of memory" in hungry.sight.get("why", ""))


def test_operators_stop_and_start_on_the_cluster(kept: Callable[[], Kept]) -> None:
    pod = kept()
    pod.program(["python", "-c", "print('hello', flush=True); import time; time.sleep(10_000)"])
    pod.wait(lambda: pod.sight.get("phase") == "running")
    assert pod.command("logs", pod.name, "--cluster") == "hello\n"
    pod.command("stop", pod.name, "--cluster")
    pod.wait(lambda: pod.sight["phase"] == "stopped")
    pod.command("start", pod.name, "--cluster")
    pod.wait(lambda: pod.sight["phase"] == "running")


@pytest.mark.xdist_group("controller")
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


@pytest.mark.xdist_group("controller")
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


def test_the_server_would_take_all_objects(site: Site, image: str, tmp_path: Path) -> None:
    pod = Kept(site, image, tmp_path, "dry")
    hours = {"start": "30 9 * * mon-fri", "stop": "0 16 * * mon-fri", "time_zone": "UTC"}
    pod.content = {"name": "dry", "program": {"command": ["true"]}, "schedule": hours}
    pod.path.write_text(json.dumps(pod.content))
    told = pod.command("apply", str(pod.path), "--image", image, "--dry-run")

    assert told.count("(server dry run)") == 8
    with pytest.raises(AssertionError):
        site.backtests.kubectl("get", "deployment", "dry")
