"""Sessions killed at random moments: the next one holds what the journals say, and no more.

``--kills 200`` kills more often than in everyday work.
"""

from __future__ import annotations

import base64
import random
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.sessions.test_account import state

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.sessions.small_session import SmallSession

_LONGEST = 1.0
"""Seconds after its connection, or its start, in which a session is killed."""
_CENT = Decimal("0.000001")


@dataclass
class Book:
    """What an account holds after fills, by average cost."""

    balance: Decimal = Decimal(100_000)
    held: Decimal = Decimal(0)
    average: Decimal = Decimal(0)

    def enter(self, fill: dict[str, Any]) -> None:
        """Buy, or sell a part of what is held."""
        quantity, price = Decimal(fill["quantity"]), Decimal(fill["price"])
        self.balance -= Decimal(fill["fee"].split()[0])
        if fill["side"] == "BUY":
            spent = self.held * self.average + quantity * price
            self.held += quantity
            self.average = spent / self.held
        else:
            self.balance += quantity * (price - self.average)
            self.held -= quantity


def killed(session: SmallSession, run_id: str, chance: random.Random) -> None:
    """Start a session and kill it: every third time before it may have connected."""
    process = session.start("--run-id", run_id)
    if chance.randrange(3):
        session.wait(
            lambda: bool(session.events("session_connected", run_id)) or process.poll() is not None,
            process,
        )
    time.sleep(chance.uniform(0, _LONGEST))
    process.kill()
    process.communicate()


def faults(session: SmallSession, run_id: str, book: Book) -> list[str]:
    """Compare what a session began with, if it came so far, with the journals before it."""
    found: list[str] = []
    if not (begun := session.events("session_started", run_id)):
        return found
    [started] = begun
    balance = Decimal(started["balances"][0].split()[0])
    if abs(balance - book.balance) > _CENT:
        found.append(f"{run_id}: the balance is {balance}, by the journals {book.balance}")
    for restored in session.events("account_restored", run_id):
        [position] = restored["positions"] or ["none 0"]
        if Decimal(position.split()[1]) != book.held:
            found.append(f"{run_id}: it holds {position}, by the journals {book.held}")
    is_flat = not session.events("account_restored", run_id)
    if is_flat and book.held and session.events("session_connected", run_id):
        found.append(f"{run_id}: it holds nothing, by the journals {book.held}")
    return found


def unfounded(session: SmallSession, run_id: str) -> list[str]:
    """Return the fills of a session that no order of it came before."""
    sent: set[str] = set()
    found = []
    for entry in session.journal(run_id):
        if entry["event"] == "order_submitted":
            sent.add(entry["payload"]["order_id"])
        if entry["event"] == "order_filled" and entry["payload"]["order_id"] not in sent:
            found.append(entry["payload"]["order_id"])
    return found


def test_no_fill_is_lost_and_none_invented_whenever_a_session_is_killed(
    deployed: SmallSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    log = deployed.folder / "loaded"
    log.touch()
    deployed.use("counting.py:Counting", log=str(log))
    deployed.write(on_stop="hold")
    deployed.play("x600")
    chance = random.Random(5)  # noqa: S311 - moments
    book, seen, wrong = Book(), set[str](), []
    for number in range(request.config.getoption("--kills")):
        run_id = f"killed-{number}"
        saved = state(deployed) if (deployed.results / "accounts/small/state.json").exists() else {}
        told = len(log.read_text().split())
        killed(deployed, run_id, chance)
        if saved.get("is_complete"):
            book, seen = Book(), set()  # its data had ended: the account starts over
        wrong += faults(deployed, run_id, book) + unfounded(deployed, run_id)
        loaded = log.read_text().split()[told:]
        kept = saved.get("strategy", {}).get("bars")
        if kept is not None and not saved["is_complete"] and loaded:
            wanted = base64.b64decode(kept).decode()
            wrong += [
                f"{run_id}: it was told {item}, saved {wanted}" for item in loaded if item != wanted
            ]
        for fill in deployed.events("order_filled", run_id):
            book.enter(fill)
            # A bar is traded once.
            wrong += [f"{run_id}: {fill['at']} is traded twice"] * (fill["at"] in seen)
            seen.add(fill["at"])
    deployed.write(data=deployed.content["data"] | {"pace": "burst"})
    ended = deployed.run("--run-id", "last")
    wrong += faults(deployed, "last", book)

    assert ended.returncode == 0, ended.stderr
    assert len(seen) > 5, "it hardly traded"
    assert wrong == []
    assert list(scratch.glob("trading-runtime-*")) == []
