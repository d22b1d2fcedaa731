"""Made-up plans of any shape, for what reads plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_runtime.records.forms import read_as
from trading_runtime.records.inputs import CommonInputs, VenueInputs
from trading_runtime.records.plan import (
    Plan,
    PlannedObjective,
    PlannedPartition,
    PlannedStrategy,
    PlannedTasks,
    Point,
    ReturnDays,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trading_runtime.records.plan import Task

VENUE: dict[str, Any] = {
    "oms_type": "netting",
    "account_type": "margin",
    "balances": ["100000 USDT"],
    "book_type": "L1_MBP",
    "base_currency": None,
    "leverage": "1",
    "leverages": {},
    "fill": {
        "model": "default",
        "prob_fill_on_limit": "1",
        "prob_slippage": "0",
        "seed": None,
    },
    "fees": {"model": "none"},
    "latency": {"base": None, "insert": None, "update": None, "cancel": None},
    "bar_execution": True,
    "bar_adaptive_high_low_ordering": False,
    "trade_execution": True,
    "liquidity_consumption": False,
    "queue_position": False,
    "reject_stop_orders": True,
    "allow_cash_borrowing": False,
    "order_rate_limit": {"orders": 100, "per": "1s"},
}
"""A venue's settings, as a plan states them."""

COMMON: dict[str, Any] = {
    "engine": {"nautilus_trader": "2.0"},
    "python": "3.13",
    "system": "Linux",
    "machine": "x86_64",
    "packages": {"polars": "1"},
    "code": {"runtime": "a" * 64, "strategy": "b" * 64},
    "strategy": {"path": "m:S", "config_path": None},
    "venue": VENUE,
    "venue_name": "SIM",
    "currency": "USDT",
    "seed": 1,
    "equity_interval": 3_600_000_000_000,
    "calendar": "observed",
    "periods_per_year": 365,
    "at_end": "mark",
}
"""The inputs that all tasks share, as a plan states them."""


def venue_inputs(**changes: Any) -> VenueInputs:
    """The settings of a venue, with some of the keys changed."""
    return read_as(VenueInputs, VENUE | changes)


def common_inputs(**changes: Any) -> CommonInputs:
    """The inputs that all tasks share, with some of the keys changed."""
    return CommonInputs.from_document(COMMON | changes)


def made_up_plan(  # noqa: PLR0913 - what plans differ in
    tasks: Sequence[Task],
    *,
    points: Sequence[Mapping[str, Any]] = ({},),
    partitions: Sequence[PlannedPartition] | None = None,
    objective: PlannedObjective = PlannedObjective("sharpe", "maximize"),  # noqa: B008 - immutable
    experiment_name: str = "made-up",
    dataset_digest: str = "d" * 64,
    common: CommonInputs | None = None,
) -> Plan:
    """A plan of ``tasks``; ``points`` are the parameters of each."""
    return Plan(
        experiment_name=experiment_name,
        objective=objective,
        dataset_digest=dataset_digest,
        common=common or common_inputs(),
        strategy=PlannedStrategy("m:S", (), {}, {}),
        task_seconds=3600,
        task_memory=None,
        instruments={},
        warnings=(),
        partitions=(partition(),) if partitions is None else partitions,
        days=ReturnDays(0, 0),
        empty_windows=(),
        points=tuple(Point(index, values, values) for index, values in enumerate(points)),
        tasks=PlannedTasks(tasks),
        batches=((0, len(tasks)),),
    )


def partition(  # noqa: PLR0913 - what partitions differ in
    index: int = 0,
    start: int = 0,
    end: int = 1,
    *,
    instruments: tuple[str, ...] = (),
    rows: int = 0,
    warmup_short: bool = False,
) -> PlannedPartition:
    """A partition without data."""
    return PlannedPartition(
        index, start, end, start, instruments, rows, rows, 0, warmup_short, data=()
    )
