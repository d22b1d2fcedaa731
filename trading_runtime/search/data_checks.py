"""Whether orders depend on data that must not affect them: later rows, or a longer warm-up.

Both checks run a point of a run on other data and compare orders. The tasks run in a fresh process,
and their results are not kept: they are no trials.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.errors import Kind, NondeterministicError, StrategyError, UsageError
from trading_runtime.results.store import Store
from trading_runtime.results.validation import Stretch
from trading_runtime.search.continuous import prepare_stretches
from trading_runtime.storage.scratch import Scratch
from trading_runtime.units import NANOSECONDS, parse_duration
from trading_runtime.verification.fresh_tasks import FreshTasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from trading_runtime.search.continuous import Source

    Report = Callable[[str], None]

_DECISION = ("instrument_id", "side", "ts_init", "reduce_only")
"""What an order keeps for life; the engine changes the rest of one that rests or is emulated."""
_TERMS = (*_DECISION, "type", "quantity", "price", "trigger_price", "time_in_force")
_FIRST_WARMUP = NANOSECONDS["h"]

Order = dict[str, Any]
"""A row of ``orders.parquet``, times in nanoseconds."""


class OrderDifference(NamedTuple):
    """The first order that differs; ``None`` where there is no such order."""

    place: int
    """Counted from 0, in the order in which the orders were sent."""
    first: Order | None
    second: Order | None


class Cut(NamedTuple):
    """A task whose data ends at an order."""

    at: int
    """The time of the last row that it sees, nanoseconds since the epoch."""
    orders: int
    """How many orders the whole window's task has sent by then."""
    difference: OrderDifference | None


@dataclass(frozen=True)
class Lookahead:
    """What cutting the data changed."""

    point: int
    start: int
    end: int
    orders: int
    """Orders on the whole window."""
    cuts: Sequence[Cut]
    opened: Sequence[str]
    """What the strategy opened, such as files: cutting the data does not cut them."""

    @property
    def first(self) -> Cut | None:
        """The earliest cut with other orders."""
        return next((cut for cut in self.cuts if cut.difference is not None), None)


def check_lookahead(
    source: Source, point: int, window: int, most_cuts: int, report: Report = lambda _: None
) -> Lookahead:
    """Run a point of a run on a window that ends at some of its orders, and between others.

    The orders up to there must be those of the whole window: data after an order is not known when
    it is sent. The cuts between orders catch a strategy that looks ahead and sends an order only
    where the later rows are missing. What a strategy sends in ``on_stop``, and what closes its
    positions at the end, is not compared. Raises ``NondeterministicError`` when the same data
    gives other orders the second time, ``StrategyError`` when a task fails.
    """
    start, end = source.windows.bounds[window]
    report(f"point {point} on window {window}")
    [whole], opened = _orders(source, [Stretch(point, start, end)], watch=True)
    sent = whole.before_stop
    times = sorted({order["ts_init"] for order in sent if order["ts_init"] < end - 1})
    chosen = _cuts(times, most_cuts) or [start + (end - start) // 2]
    report(f"{len(whole.rows):,} orders; the same with data that ends at {len(chosen):,} instants")
    cuts, _ = _orders(source, [Stretch(point, start, at + 1) for at in chosen])
    found = []
    for at, cut in zip(chosen, cuts, strict=True):
        before = [order for order in sent if order["ts_init"] <= at]
        # Orders at the cut may be those of ``on_stop``, where it is not known which these are.
        until = at if cut.at_stop is None else at + 1
        found.append(Cut(at, len(before), _difference(before, cut.before_stop, at, until)))
    return Lookahead(point, start, end, len(whole.rows), found, opened)


class _Sent(NamedTuple):
    """The orders of a period."""

    rows: list[Order]
    at_stop: int | None
    """How many there were when the strategy was stopped; unknown of a builtin one."""

    @property
    def before_stop(self) -> list[Order]:
        return self.rows[: self.at_stop]


class WarmupStep(NamedTuple):
    """A warm-up, and how its orders compare with those of the next longer one."""

    warmup: int
    """Nanoseconds."""
    orders: int
    difference: OrderDifference | None


@dataclass(frozen=True)
class Warmup:
    """How orders depend on the warm-up."""

    point: int
    start: int
    end: int
    asked: int
    """The experiment's warm-up, nanoseconds."""
    steps: Sequence[WarmupStep]
    """By rising warm-up; the last has no longer one to compare with."""

    @property
    def needed(self) -> int | None:
        """The shortest of the warm-ups tried from which on orders are the same.

        ``None`` when orders still change between the two longest, or only one was tried.
        """
        needed = None
        for step in reversed(self.steps[:-1]):
            if step.difference is not None:
                break
            needed = step.warmup
        return needed


def check_warmup(
    source: Source, point: int, window: int, most_rungs: int, report: Report = lambda _: None
) -> Warmup:
    """Run a point of a run on a window with warm-ups that double, as far as the data goes back.

    Raises ``UsageError`` when there is no data before the window, ``StrategyError`` when a task
    fails.
    """
    start, end = source.windows.bounds[window]
    settings = source.loaded.experiment.partitions
    asked = parse_duration(settings.warmup) if settings.warmup else 0
    reach = start - source.windows.bounds[0][0]
    if reach <= 0:
        raise UsageError(
            f"--partition {window}: the run has no data before this window; choose a later one"
        )
    ladder = [asked] if asked else [0, min(_FIRST_WARMUP, reach)]
    while len(ladder) < most_rungs and ladder[-1] * 2 <= reach:
        ladder.append(ladder[-1] * 2)
    if len(ladder) == 1:
        raise UsageError(
            f"--partition {window}: the data before this window is shorter than two warm-ups; "
            "choose a later one"
        )
    report(f"point {point} on window {window}, with {len(ladder)} warm-ups")
    orders, _ = _orders(source, [Stretch(point, start, end, warmup=each) for each in ladder])
    steps = [
        WarmupStep(
            warmup, len(mine.rows), None if longer is None else _difference(mine.rows, longer.rows)
        )
        for warmup, mine, longer in zip(ladder, orders, [*orders[1:], None], strict=True)
    ]
    return Warmup(point, start, end, asked, steps)


def _orders(
    source: Source, stretches: Sequence[Stretch], *, watch: bool = False
) -> tuple[list[_Sent], list[str]]:
    """Return the orders of each stretch, and what was opened if that is watched."""
    prepared = prepare_stretches(source, stretches)
    plan = prepared.plan
    found: list[list[Order]] = [[] for _ in stretches]
    at_stop: list[int | None] = [None for _ in stretches]
    with Scratch() as scratch:
        path = scratch.path / "plan.json"
        path.write_text(plan.to_json(), encoding="utf-8")
        fresh = FreshTasks(
            path,
            prepared.loaded.code_folder,
            prepared.loaded.dataset_place,
            prepared.code.search_paths,
            scratch.path,
            watches_files=watch,
        )
        outcomes = fresh.run(range(len(plan.tasks)))
        for outcome in outcomes:
            if outcome.kind is Kind.NONDETERMINISTIC:
                raise NondeterministicError(
                    "the same task gave other orders the second time: the strategy depends on "
                    "something besides its data, such as the time, chance, or what an earlier task "
                    "left in the process"
                )
            if outcome.message:
                raise StrategyError(f"{outcome.kind}: {outcome.message}")
        store = Store(fresh.results)
        for task, outcome in zip(plan.tasks, outcomes, strict=True):
            partition = plan.partitions[task.partition]
            [place] = (
                number
                for number, stretch in enumerate(stretches)
                if (stretch.start, stretch.end) == (partition.start, partition.end)
                and stretch.warmup in {None, partition.start - partition.warmup_start}
            )
            orders = _table(store.read_task(task.task_id)["orders.parquet"])
            # With a task for each instrument, their orders are mixed.
            at_stop[place] = None if found[place] else outcome.orders_at_stop
            found[place] = sorted([*found[place], *orders], key=lambda order: order["ts_init"])
    opened = sorted({path for outcome in outcomes for path in outcome.opened})
    return list(map(_Sent, found, at_stop)), opened


def _table(content: bytes) -> list[Order]:
    import polars as pl

    table = pl.read_parquet(io.BytesIO(content))
    times = pl.col("ts_init", "ts_last").to_physical()
    return table.with_columns(times).to_dicts()


def _evenly(times: Sequence[int], most: int) -> list[int]:
    """Return at most so many of ``times``, the last one among them."""
    count = min(most, len(times))
    return [times[number * len(times) // count - 1] for number in range(1, count + 1)]


def _cuts(times: Sequence[int], most: int) -> list[int]:
    """Return at most so many of ``times``, and instants in the longest gaps between them.

    In a gap, it is where the next order would have been as soon as any order followed another: a
    strategy that trades at certain bars has decided there to send none.
    """
    gaps = sorted(itertools.pairwise(times), key=lambda gap: gap[0] - gap[1])
    shortest = gaps[-1][1] - gaps[-1][0] if gaps else 0
    longer = (first for first, second in gaps if second - first > shortest)
    between = [first + shortest for first in itertools.islice(longer, most // 2)]
    return sorted({*_evenly(times, most - len(between)), *between})


def _difference(
    first: Sequence[Order],
    second: Sequence[Order],
    cut: int | None = None,
    until: int | None = None,
) -> OrderDifference | None:
    """Return the first difference; with a ``cut``, of orders that were sent by then.

    Orders that only ``second`` has count before ``until``.
    """
    for place, order in enumerate(first):
        other = second[place] if place < len(second) else None
        if other is None or not _is_same(order, other, cut):
            return OrderDifference(place, order, other)
    for place, other in enumerate(second[len(first) :], len(first)):
        if until is None or other["ts_init"] < until:
            return OrderDifference(place, None, other)
    return None


def _is_same(first: Mapping[str, Any], second: Mapping[str, Any], cut: int | None) -> bool:
    """Whether two orders are one decision; what happened to them after the cut does not count."""
    is_over = cut is None or first["ts_last"] <= cut
    compared: Iterable[str] = _TERMS if is_over or first["type"] == "MARKET" else _DECISION
    return all(first[name] == second[name] for name in compared)


def window_of(source: Source, asked: int | None, *, last: bool) -> int:
    """Return the window that a command names, or the first or last one of the run.

    Raises ``UsageError`` when the run has no such window.
    """
    count = len(source.windows.bounds)
    if asked is None:
        return count - 1 if last else 0
    if asked not in range(count):
        raise UsageError(f"--partition {asked}: the run's windows are 0 to {count - 1}")
    return asked
