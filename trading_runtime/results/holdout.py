"""Hold-outs: the end of the data, which no run over a store may touch until it is opened.

A hold-out is declared in an experiment, and recorded in the store by its first run. From then on it
binds every experiment over that store. Opening it is recorded with a reason; neither record is ever
removed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.forms import read_as
from trading_runtime.records.reasons import checked_reason, user_name
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

FOLDER = "holdouts"
_FORMAT = 1
_OPENED = ".opened.json"


class HoldOut(NamedTuple):
    """Everything of some instruments from ``start`` on, nanoseconds since the epoch."""

    instruments: tuple[str, ...]
    start: int

    @classmethod
    def of(cls, instruments: Collection[str], start: str) -> Self:
        """Return a hold-out from the text of its start."""
        return cls(tuple(sorted(instruments)), parse_instant(start))

    def __str__(self) -> str:
        """Return it in words."""
        few = ", ".join(self.instruments[:3])
        more = len(self.instruments) - 3
        names = few + (f" and {more} more" if more > 0 else "")
        return f"the hold-out of {names} from {format_instant(self.start)} on"

    def touches(self, plan: Plan) -> bool:
        """Return whether a plan has a window with rows that are held out."""
        return any(
            partition.end > self.start
            and not set(self.instruments).isdisjoint(partition.instruments)
            for partition in plan.partitions
        )


class Opening(NamedTuple):
    """Who opened a hold-out, when and why."""

    reason: str
    user: str | None
    time: str


class RecordedHoldOut(NamedTuple):
    """A hold-out of a store; ``opened`` is ``None`` while it is closed."""

    held: HoldOut
    opened: Opening | None


def recorded_holdouts(store: Store) -> list[RecordedHoldOut]:
    """Return the hold-outs of a store, by their start. Raises ``DataError`` for a damaged one."""
    names = sorted(store.objects.sizes(f"{FOLDER}/"))
    found = []
    for name in names:
        if name.endswith(_OPENED):
            continue
        held = _read(store, name, HoldOut)
        if name != _name(held):
            raise _damaged(store, name, "its content is not that of its name")
        opened = _opened_name(held)
        opening = None
        if opened in names:
            opening = _read(store, opened, Opening)
        found.append(RecordedHoldOut(held, opening))
    return sorted(found, key=lambda each: (each.held.start, each.held.instruments))


def is_open(store: Store, held: HoldOut) -> bool:
    """Return whether a hold-out was opened in a store."""
    return store.objects.has(_opened_name(held))


def record_holdout(store: Store, held: HoldOut) -> None:
    """Record a hold-out for all who use the store; do nothing when it is known."""
    store.objects.create(_name(held), _content(held._asdict()))


def open_holdout(store: Store, held: HoldOut, reason: str, time: str) -> bool:
    """Open a hold-out for good, and return whether it was closed before.

    Raises ``UsageError`` when the reason is empty or too long.
    """
    opening = Opening(checked_reason(reason, "result"), user_name(), time)
    record_holdout(store, held)
    return store.objects.create(_opened_name(held), _content(opening._asdict())) is not None


def refuse_held_out(
    store: Store, plan: Plan, own: Iterable[HoldOut] = (), *, key: str = "partitions.end"
) -> None:
    """Raise ``UsageError`` when a plan has rows of a closed hold-out of the store.

    ``own`` are the experiment's, which its plan respects already; ``key`` is the setting that says
    where rows end.
    """
    known = set(own)
    for held, opened in recorded_holdouts(store):
        if opened is None and held not in known and held.touches(plan):
            raise UsageError(
                f"{key}: windows touch {held}; set it to "
                f"{format_instant(held.start)} or before, or open it: 'trading-runtime holdout "
                "open' with the experiment that declares it, and a reason"
            )


def _name(held: HoldOut) -> str:
    return f"{FOLDER}/{digest(held._asdict())}.json"


def _opened_name(held: HoldOut) -> str:
    return _name(held).removesuffix(".json") + _OPENED


def _content(document: dict[str, Any]) -> bytes:
    return canonical_json({"format": _FORMAT, **document}) + b"\n"


def _read[Row: (HoldOut, Opening)](store: Store, name: str, row: type[Row]) -> Row:
    try:
        content = json.loads(store.objects.read(name))
        return read_as(row, [content[field] for field in row._fields])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(store, name, str(error)) from error


def _damaged(store: Store, name: str, how: str) -> DataError:
    return DataError(
        f"{store.objects.url}/{name}: damaged: {how}; restore the file: without it held-out rows "
        "could be used"
    )
