"""Change what is kept beside runs, with a fault at each change to a file; see ``disk_faults``.

A process of its own, since it forks and replaces functions. Prints a JSON line for each fault: what
was changed, the fault and its place, how the change ended, what was there then, and what was there
once the change had been made again.
"""

from __future__ import annotations

import functools
import itertools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.deployments.conftest import surroundings
from tests.disk_faults import Faults, in_child
from trading_runtime.control.kill_switch import KillSwitch
from trading_runtime.deployments.desired import read_desired
from trading_runtime.deployments.kept import Kept
from trading_runtime.deployments.logs import LOG, parts_of, rotate
from trading_runtime.deployments.state import DeploymentState, Phase, Request, SupervisorFolder
from trading_runtime.errors import StorageError
from trading_runtime.records.account import AccountState
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.trials import Window
from trading_runtime.results.holdout import HoldOut, open_holdout, recorded_holdouts
from trading_runtime.results.ledger import Entry, entries, write_entry
from trading_runtime.results.store import Store
from trading_runtime.sessions.account import SessionAccount

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = ("kill", "power", "full", "broken")
HELD = HoldOut(("BTC.SIM",), 1_704_240_000_000_000_000)
WHOLE = "a line that must not get lost\n"


class Thing(NamedTuple):
    """Something that is kept in a folder, a change to it, and what is read of it."""

    prepare: Callable[[Path], object]
    change: Callable[[Path], object]
    read: Callable[[Path], object]


def state(phase: Phase) -> Callable[[Path], None]:
    return lambda folder: supervised(folder).write_state(
        DeploymentState("one", "one.yaml", "program", phase)
    )


def supervised(folder: Path) -> SupervisorFolder:
    found = SupervisorFolder(folder)
    for each in (found.states, found.requests, found.logs, found.heartbeats):
        each.mkdir(parents=True, exist_ok=True)
    return found


def phases(folder: Path) -> dict[str, str]:
    return {name: found.phase for name, found in supervised(folder).read_states().items()}


def asked(wanted: bool, turn: int) -> Callable[[Path], None]:  # noqa: FBT001 - as it is written
    return lambda folder: supervised(folder).write_request("one", Request(wanted, turn))


def request(folder: Path) -> list[object]:
    found = supervised(folder).request("one")
    return [found.wanted, found.turn]


def both(folder: Path) -> None:
    state(Phase.RUNNING)(folder)
    asked(False, 1)(folder)  # noqa: FBT003


def account(session: str, instruments: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        kept = SessionAccount(Store(folder), "one")
        with kept.held(session):
            kept.write(
                AccountState(
                    session=session, terms="", at=1, is_complete=False, balances=["1 USDT"],
                    positions=[], orders=[], strategy={}, lines=3, sessions=[],
                )
            )  # fmt: skip
            kept.write_instruments(
                [InstrumentDefinition.from_document({"id": "BTC.SIM"})] * instruments
            )

    return write


def of_account(folder: Path) -> list[object]:
    kept = SessionAccount(Store(folder), "one")
    found = kept.read()
    return [found and found.session, len(kept.instruments())]


def tried(trial: str) -> Callable[[Path], None]:
    window = Window(("BTC.SIM",), 0, 1)
    return lambda folder: write_entry(Store(folder), Entry({trial: frozenset({window})}))


def trials(folder: Path) -> list[str]:
    return sorted(trial for entry in entries(Store(folder)) for trial in entry.trials)


def hold_outs(folder: Path) -> list[str | None]:
    return [each.opened and each.opened.reason for each in recorded_holdouts(Store(folder))]


def activate(folder: Path) -> None:
    KillSwitch(Store(folder)).activate("danger")


def clear(folder: Path) -> None:
    if switches(folder):
        KillSwitch(Store(folder)).clear("over")


def switches(folder: Path) -> list[str]:
    assert {each.reason for each in KillSwitch(Store(folder)).history()} <= {"danger", "over"}
    return [each.reason for each in KillSwitch(Store(folder)).active()]


def program(folder: Path) -> None:
    supervised(folder)
    content = {"name": "one", "program": {"command": ["true"]}, "restart": {"backoff": "1h"}}
    (folder / "one.json").write_text(json.dumps(content))


def keep_up(folder: Path) -> None:
    """Look at the program until it has ended, as a supervisor does."""
    desired = read_desired(folder / "one.json")
    found = supervised(folder)
    said: list[str] = []
    fresh = DeploymentState("one", str(desired.path), desired.what)
    kept = Kept(desired, found.read_states().get("one", fresh), surroundings(found, said, []))
    kept.adopt()
    while kept.process is not None or kept.state.phase is not Phase.BACKING_OFF:
        kept.look(time.time(), Request())
        time.sleep(0.005)
    kept.look(time.time(), Request())
    if phases(folder) != {"one": "backing off"} and "could not be stored" in "".join(said):
        raise StorageError("it was told")


def log(folder: Path) -> None:
    folder.mkdir()
    (folder / LOG).write_text(WHOLE)


def kept_lines(folder: Path) -> bool:
    kept = DeploymentState("one", "", "program", log=str(folder / LOG), results=str(folder))
    return WHOLE in b"".join(parts_of(kept)).decode()


THINGS = {
    "state": Thing(state(Phase.RUNNING), state(Phase.STOPPED), phases),
    "request": Thing(asked(True, 1), asked(False, 2), request),  # noqa: FBT003
    "problems": Thing(
        lambda folder: supervised(folder).write_problems({"a": "x"}),
        lambda folder: supervised(folder).write_problems({"a": "y"}),
        lambda folder: supervised(folder).read_problems(),
    ),
    "forgotten": Thing(
        both,
        lambda folder: supervised(folder).forget("one"),
        lambda folder: [phases(folder), request(folder)],
    ),
    "program": Thing(program, keep_up, phases),
    "log": Thing(log, lambda folder: rotate(folder / LOG, 1), kept_lines),
    "account": Thing(account("s-1", 0), account("s-2", 1), of_account),
    "ledger": Thing(tried("a"), tried("b"), trials),
    "hold-out": Thing(
        lambda folder: folder.mkdir(),
        lambda folder: open_holdout(Store(folder), HELD, "the last test", "2026-01-01T00:00:00Z"),
        hold_outs,
    ),
    "kill switch": Thing(lambda folder: folder.mkdir(), activate, switches),
    "cleared": Thing(activate, clear, switches),
}


def faulty(thing: Thing, folder: Path, step: int, fault: str, out: int) -> None:
    """Change a thing with a fault at the change of this number; say how it ended."""
    Faults(folder, step, fault, out).try_on(lambda: thing.change(folder))


def main() -> None:
    """Try each fault at each change of each thing, in folders of their own below the first word."""
    for (name, thing), fault in itertools.product(THINGS.items(), FAULTS):
        for step in itertools.count():
            folder = Path(sys.argv[1]) / f"{name}-{fault}-{step}"
            thing.prepare(folder)
            told = in_child(functools.partial(faulty, thing, folder, step, fault))
            if not told:
                break
            facts: dict[str, Any] = {"thing": name, "fault": fault, "ended": None}
            for line in told.splitlines():
                facts |= json.loads(line)
            facts["then"] = thing.read(folder)
            thing.change(folder)
            facts["again"] = thing.read(folder)
            sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
