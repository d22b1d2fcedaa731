"""Deployments and schedules on a cluster: Kubernetes keeps them up, and the journal tells it."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kept import COMMAND, Kept
from tests.e2e.workflows import run
from tests.sessions.live_session import PRICE, SYMBOL
from tests.sessions.small_session import SmallSession
from trading_runtime.operations.stand_in.bybit import TESTNET_KEYS, BybitProtocol
from trading_runtime.operations.stand_in.exchange import Exchange
from trading_runtime.operations.stand_in.serving import StandInVenue
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.site import Site

HUNGRY = "data = []\nwhile True: data.append(b'x' * 1_000_000)"


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


def test_orders_of_a_pod_go_to_a_venue_with_the_keys_of_its_secret(
    kept: Callable[[], Kept],
) -> None:
    pod = kept()
    exchange = Exchange({SYMBOL: PRICE})
    with StandInVenue(BybitProtocol(exchange), pod.site.settings.host) as venue:
        pod.live(venue)
        pod.wait(lambda: pod.runs and pod.events(pod.runs[0], "order_accepted"))
        told = {e["payload"]["order_id"] for e in pod.events(pod.runs[0], "order_accepted")}

    assert told <= {record.about for record in exchange.recorded("accepted")}
    assert not [key for key in TESTNET_KEYS.values() if key in json.dumps(pod.content)]


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


def test_the_server_would_take_all_objects(site: Site, image: str, tmp_path: Path) -> None:
    pod = Kept(site, image, tmp_path, "dry")
    hours = {"start": "30 9 * * mon-fri", "stop": "0 16 * * mon-fri", "time_zone": "UTC"}
    pod.content = {"name": "dry", "program": {"command": ["true"]}, "schedule": hours}
    pod.path.write_text(json.dumps(pod.content))
    told = pod.command("apply", str(pod.path), "--image", image, "--dry-run")

    assert told.count("(server dry run)") == 8
    with pytest.raises(AssertionError):
        site.backtests.kubectl("get", "deployment", "dry")
