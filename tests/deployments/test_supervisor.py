"""The supervisor: what runs becomes what the files want, whatever ends in between."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.deployments.conftest import PATIENCE_SECONDS
from trading_runtime.deployments.processes import start_mark

if TYPE_CHECKING:
    from tests.deployments.conftest import Supervised

FOREVER = ["sleep", "1000"]
KILLED = """
import os, signal
from trading_runtime.deployments.state import SupervisorFolder

def kill(folder, state):
    (folder.folder / "lost").write_text(f"{state.pid} {state.mark}")
    os.kill(os.getpid(), signal.SIGKILL)

SupervisorFolder.write_state = kill
"""
"""Kills a supervisor in place of storing a state."""


def test_a_new_file_is_started_a_changed_one_restarted_and_a_removed_one_ended(
    supervised: Supervised,
) -> None:
    supervised.up()
    path = supervised.write("one", FOREVER)
    first = supervised.wait_for("one", "running")

    supervised.write("one", ["sleep", "1001"])
    supervised.wait(lambda: supervised.state("one")["run_id"] != first["run_id"])
    second = supervised.wait_for("one", "running")
    assert start_mark(first["pid"]) != first["mark"]
    assert start_mark(second["pid"]) == second["mark"]
    assert second["restart_count"] == 0, "a restart for a change is no crash"

    path.unlink()
    supervised.wait(lambda: not supervised.state("one"))
    assert start_mark(second["pid"]) != second["mark"]


def test_a_change_without_a_meaning_restarts_nothing(supervised: Supervised) -> None:
    path = supervised.folder / "one.yaml"
    text = "name: one\nprogram: {command: [sleep, '1000'], environment: {A: b, C: d}}\n"
    path.write_text(text)
    supervised.up()
    before = supervised.wait_for("one", "running")

    path.write_text(
        "# a comment\nprogram:\n  environment: {C: d, A: b}\n  command: [sleep, '1000']\n"
        "notes: told apart\nlimits: {heartbeat: 10s}\nname: 'one'\n"
    )
    # What comes after it in the folder is read in the same look.
    supervised.write("two", FOREVER)
    supervised.wait_for("two", "running")

    assert supervised.state("one") == before
    assert start_mark(before["pid"]) == before["mark"]


def test_a_change_that_neither_size_nor_time_shows_is_found_when_all_is_read_anew(
    supervised: Supervised,
) -> None:
    path = supervised.write("one", FOREVER)
    supervised.up(thorough_seconds=0.5)
    before = supervised.wait_for("one", "running")
    written = path.stat()

    with path.open("r+") as file:
        file.write(path.read_text().replace("1000", "1001"))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))

    supervised.wait(lambda: supervised.state("one")["run_id"] != before["run_id"])
    assert path.stat().st_size == written.st_size


def test_an_edit_that_goes_wrong_is_told_and_stops_nothing(supervised: Supervised) -> None:
    path = supervised.write("one", FOREVER)
    supervised.up()
    before = supervised.wait_for("one", "running")

    path.write_text('{"name": "one", "program": {"comand": ["true"]}}')
    supervised.wait(lambda: supervised.state("one")["problem"])

    assert "one.json:1:29: program.comand: unknown key" in supervised.state("one")["problem"]
    assert "unknown key" in supervised.said
    assert "error: " in supervised.command("list").stdout
    assert supervised.state("one")["pid"] == before["pid"]
    assert start_mark(before["pid"]) == before["mark"]


def test_a_file_that_was_wrong_from_the_start_is_listed_until_it_is_right(
    supervised: Supervised,
) -> None:
    path = supervised.folder / "one.json"
    path.write_text('{"name": "one", "program": {"comand": ["true"]}}')
    supervised.write("two", FOREVER)
    supervised.up()
    supervised.wait_for("two", "running")
    listed = supervised.command("list").stdout.splitlines()
    told = json.loads(supervised.command("list", "--json").stdout)["problems"]
    supervised.write("one", FOREVER)
    supervised.wait_for("one", "running")

    assert listed[0].split() == [*["name", "phase", "since", "restarts", "limits", "run", "why"]]
    assert listed[-1].startswith(f"error: {path}:1:29: program.comand: unknown key")
    assert list(told) == [str(path)]
    assert json.loads(supervised.command("list", "--json").stdout)["problems"] == {}


def test_the_table_on_a_terminal_stays_current(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervised.up()
    supervised.wait_for("one", "running")
    screen = supervised.on_terminal("list", "--watch")
    screen.wait_for("running")

    supervised.command("stop", "one")
    screen.wait_for("stopped")

    screen.process.send_signal(signal.SIGINT)
    assert screen.process.wait(PATIENCE_SECONDS) == 130


def test_two_files_of_one_name_are_told_and_run_once(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    other = supervised.write("two", FOREVER)
    other.write_text(other.read_text().replace('"two"', '"one"'))
    supervised.up()
    supervised.wait_for("one", "running")

    assert "two.json: name: 'one' is that of" in supervised.said
    assert supervised.state("two") == {}


def test_a_crash_is_restarted_after_its_backoff_and_touches_no_other(
    supervised: Supervised,
) -> None:
    supervised.write("steady", FOREVER)
    supervised.write("frail", FOREVER, restart={"backoff": "1s"})
    supervised.up()
    steady = supervised.wait_for("steady", "running")
    frail = supervised.wait_for("frail", "running")

    crashed = time.monotonic()
    os.kill(frail["pid"], signal.SIGSEGV)
    supervised.wait(lambda: supervised.state("frail")["restart_count"] == 1)

    assert time.monotonic() - crashed >= 1.0
    assert "ended by signal SIGSEGV" in supervised.said
    assert supervised.state("steady") == steady
    assert start_mark(steady["pid"]) == steady["mark"]


def test_waits_double_and_what_crashes_too_often_is_given_up(supervised: Supervised) -> None:
    supervised.script(
        "frail",
        "import sys; sys.exit('error: no such key')",
        restart={"backoff": "100ms", "most_in_an_hour": 3},
    )
    supervised.up()
    state = supervised.wait_for("frail", "gave up")

    assert state["restart_count"] == 3
    told = [what for _, what in state["history"] if what.startswith("backing off")]
    assert [what.rpartition("; ")[2] for what in told] == [
        "restarted in 0.1 s",
        "restarted in 0.2 s",
        "restarted in 0.4 s",
    ]
    assert state["why"] == "3 restarts within an hour; the last end: exit code 1: no such key"


def test_a_program_that_ends_well_though_it_should_run_on_is_told_and_restarted(
    supervised: Supervised,
) -> None:
    supervised.write("short", ["true"])
    supervised.up()
    supervised.wait(lambda: supervised.state("short").get("restart_count", 0) >= 1)

    assert "exit code 0, although it should run on" in supervised.said


def test_a_program_gets_its_id_and_its_config_and_nothing_that_is_not_meant_for_it(
    supervised: Supervised,
) -> None:
    supervised.environment |= {"API_KEY": "sesame", "OTHER_KEY": "closed"}
    supervised.script(
        "bot",
        "import json, os, time\n"
        "names = [*sorted(os.environ)]\n"
        "told = json.load(open(os.environ['TRADING_RUNTIME_CONFIG_FILE']))\n"
        "json.dump([dict(os.environ), told], open('seen', 'w'))\n"
        "os.replace('seen', 'told.txt')\n"
        "time.sleep(1000)\n",
        program={
            "command": [os.environ.get("PYTHON", "python3"), "bot.py"],
            "environment": {"MODE": "calm"},
            "secrets": ["API_KEY"],
            "config": {"pairs": ["A", "B"], "size": 1.5},
        },
    )
    supervised.up()
    supervised.wait((supervised.folder / "told.txt").exists)
    environment, told = json.loads((supervised.folder / "told.txt").read_text())
    run_id = supervised.wait_for("bot", "running")["run_id"]

    config = {"pairs": ["A", "B"], "size": 1.5}
    assert told == {"deployment": "bot", "run_id": run_id, "config": config}
    assert json.loads(environment["TRADING_RUNTIME_CONFIG"]) == config
    assert environment["TRADING_RUNTIME_DEPLOYMENT"] == "bot"
    assert environment["TRADING_RUNTIME_RUN_ID"] == run_id
    assert (environment["MODE"], environment["API_KEY"]) == ("calm", "sesame")
    assert "OTHER_KEY" not in environment


def test_a_secret_that_is_not_there_is_told_by_its_name(supervised: Supervised) -> None:
    supervised.write(
        "bot",
        FOREVER,
        program={"command": FOREVER, "secrets": ["NO_SUCH_KEY"]},
        restart={"most_in_an_hour": 0},
    )
    supervised.up()
    state = supervised.wait_for("bot", "gave up")

    assert "the supervisor has no variable NO_SUCH_KEY" in state["why"]


def test_one_that_no_longer_touches_its_heartbeat_is_ended_and_restarted(
    supervised: Supervised,
) -> None:
    supervised.script(
        "hung",
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(os.environ['TRADING_RUNTIME_HEARTBEAT']).touch()\n"
        "time.sleep(1000)\n",
        limits={"heartbeat": "100ms"},
    )
    supervised.up()
    first = supervised.wait_for("hung", "running")
    supervised.wait(lambda: supervised.state("hung")["restart_count"] == 1)

    assert "no heartbeat for" in supervised.said
    assert start_mark(first["pid"]) != first["mark"]


def test_metrics_are_told_beside_the_results(supervised: Supervised) -> None:
    path = supervised.write("one", ["false"], restart={"most_in_an_hour": 0})
    told = supervised.folder / "results" / "deployments" / "one.json"
    supervised.up()
    supervised.wait_for("one", "gave up")
    supervised.wait(lambda: told.exists() and json.loads(told.read_text())["gave_up"])
    content = json.loads(told.read_text())

    assert (content["wanted"], content["running"], content["restarts"]) == (True, False, 0)
    path.unlink()
    supervised.wait(lambda: not told.exists())


def test_a_second_supervisor_over_one_folder_refuses(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervised.up()
    before = supervised.wait_for("one", "running")
    second = supervised.up()

    assert second.wait(PATIENCE_SECONDS) == 2
    assert "another supervisor keeps these deployments up already" in supervised.said
    assert supervised.state("one") == before


def test_processes_end_with_their_supervisor(supervised: Supervised) -> None:
    supervised.write("one", ["sh", "-c", "sleep 1000 & wait"])
    supervisor = supervised.up()
    state = supervised.wait_for("one", "running")
    supervisor.terminate()

    assert supervisor.wait(PATIENCE_SECONDS) == 143
    assert start_mark(state["pid"]) != state["mark"]
    assert not group_members(state["pid"])
    assert supervised.phase("one") == "stopped"


def test_with_detach_they_stay_and_the_next_supervisor_finds_them_again(
    supervised: Supervised,
) -> None:
    supervised.write("one", FOREVER)
    supervisor = supervised.up("--detach")
    before = supervised.wait_for("one", "running")
    supervisor.terminate()
    supervisor.wait(PATIENCE_SECONDS)
    assert start_mark(before["pid"]) == before["mark"]

    supervised.up()
    supervised.wait(lambda: "one: running: found again" in supervised.said)
    assert supervised.state("one")["pid"] == before["pid"]

    os.kill(before["pid"], signal.SIGKILL)
    supervised.wait(lambda: supervised.state("one")["restart_count"] == 1)


def test_a_supervisor_that_is_killed_leaves_nothing_twice(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervised.write("two", FOREVER)
    supervisor = supervised.up()
    one, two = supervised.wait_for("one", "running"), supervised.wait_for("two", "running")
    supervisor.kill()
    supervisor.wait(PATIENCE_SECONDS)
    os.kill(one["pid"], signal.SIGKILL)
    (supervised.folder / "two.json").unlink()

    supervised.up()
    supervised.wait(lambda: supervised.state("one").get("restart_count") == 1)
    supervised.wait(lambda: not supervised.state("two"))

    assert "it ended while no supervisor ran" in supervised.said
    assert start_mark(two["pid"]) != two["mark"]


def test_a_supervisor_that_is_killed_before_it_knows_a_process_leaves_none(
    supervised: Supervised,
) -> None:
    supervised.script("one", "import time; open('begun', 'a').close(); time.sleep(1000)")
    begun = supervised.folder / "begun"
    code = supervised.up(prepare=KILLED).wait(PATIENCE_SECONDS)
    pid, mark = (supervised.folder / ".deployments" / "lost").read_text().split()
    supervised.wait(lambda: begun.exists() or start_mark(int(pid)) != mark)

    assert code == -signal.SIGKILL, supervised.said
    assert not begun.exists()
    supervised.up()
    supervised.wait(begun.exists)
    assert supervised.state("one")["phase"] == "running"


def test_a_process_of_the_same_number_is_not_taken_for_it(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervisor = supervised.up("--detach")
    state = supervised.wait_for("one", "running")
    supervisor.terminate()
    supervisor.wait(PATIENCE_SECONDS)
    path = supervised.folder / ".deployments" / "state" / "one.json"
    path.write_text(json.dumps(state | {"mark": f"1{state['mark']}"}))

    supervised.up()
    supervised.wait(lambda: supervised.state("one")["restart_count"] == 1)

    assert start_mark(state["pid"]) == state["mark"], "it is a stranger's"
    os.kill(state["pid"], signal.SIGKILL)


def test_operators_stop_start_and_restart(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervisor = supervised.up()
    first = supervised.wait_for("one", "running")

    assert supervised.command("restart", "one").returncode == 0
    supervised.wait(lambda: supervised.state("one")["pid"] not in {None, first["pid"]})
    assert supervised.command("stop", "one").returncode == 0
    assert supervised.wait_for("one", "stopped")["why"] == "an operator stopped it"
    supervisor.terminate()
    supervisor.wait(PATIENCE_SECONDS)

    supervised.write("two", FOREVER)
    supervised.up()
    supervised.wait_for("two", "running")
    assert supervised.phase("one") == "stopped", "a stop outlives the supervisor"
    assert supervised.command("start", "one").returncode == 0
    supervised.wait_for("one", "running")

    told = supervised.command("stop", "two").stdout
    assert told == "two is being stopped\n"
    missing = supervised.command("stop", "none")
    assert missing.returncode == 2
    assert "no deployment 'none': there are one, two" in missing.stderr


def test_what_was_given_up_is_started_again_when_an_operator_says_so(
    supervised: Supervised,
) -> None:
    supervised.write("one", ["false"], restart={"most_in_an_hour": 0})
    supervised.up()
    supervised.wait_for("one", "gave up")
    run_id = supervised.state("one")["run_id"]

    assert supervised.command("start", "one").returncode == 0
    supervised.wait(lambda: supervised.state("one")["run_id"] != run_id)


def test_the_supervisor_does_not_have_the_engine_in_its_memory(supervised: Supervised) -> None:
    supervised.write("one", FOREVER)
    supervisor = supervised.up()
    supervised.wait_for("one", "running")
    with open(f"/proc/{supervisor.pid}/maps") as file:  # noqa: PTH123
        loaded = file.read()

    assert "python" in loaded
    assert not any(name in loaded for name in ("nautilus", "polars", "pyarrow"))


def group_members(group: int) -> list[str]:
    """Return the live processes of a process group."""
    found = []
    for number in filter(str.isdigit, (path.name for path in Path("/proc").iterdir())):
        mark = start_mark(int(number))
        try:
            if mark is not None and os.getpgid(int(number)) == group:
                found.append(number)
        except ProcessLookupError:
            continue
    return found
