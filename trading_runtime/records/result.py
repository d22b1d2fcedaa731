"""The result of a run, typed: the content of ``result.json``, read and checked in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trading_runtime.records.events import Record
from trading_runtime.records.forms import parse_record, read_record, to_document
from trading_runtime.records.plan import PlannedObjective
from trading_runtime.records.run_files import RUN_AGAIN
from trading_runtime.records.run_warnings import RunWarning
from trading_runtime.text import for_records

if TYPE_CHECKING:
    from trading_runtime.records.run_files import RunFiles

RESULT_FORMAT = 1
LUCK_FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class TaskCounts(Record):
    """The number of tasks, and how they ended."""

    planned: int
    ok: int
    failed: int
    missing: int
    """Tasks with neither a result nor a failure."""


@dataclass(frozen=True, kw_only=True)
class BestPoint(Record):
    """The best point by the run's objective."""

    point: int
    """Its index in the plan."""
    parameters: Mapping[str, Any]
    value: str | int | float
    """The objective's metric; money is a decimal string."""


@dataclass(frozen=True, kw_only=True)
class FrontPoint(Record):
    """A point that no other beats in all objectives."""

    point: int
    """Its index in the plan."""
    parameters: Mapping[str, Any]
    values: Sequence[str | int | float]
    """Its value of each objective; money is a decimal string."""


@dataclass(frozen=True, kw_only=True)
class Front(Record):
    """The points that no other beats in all objectives."""

    objectives: Sequence[PlannedObjective]
    points: Sequence[FrontPoint]
    """The best by the first objective come first."""


@dataclass(frozen=True, kw_only=True)
class TableDigests(Record):
    """What a run's tables are made from, and their bytes."""

    made_from: str
    """The sha256 of everything that the tables follow from."""
    results: str
    """The sha256 of ``results.parquet``."""
    points: str
    """The sha256 of ``points.parquet``."""


@dataclass(frozen=True, kw_only=True)
class SkillTest(Record):
    """Probabilities of a best point as good as this one when none is better than the benchmark."""

    white: float
    """White's reality check."""
    hansen: float
    """Hansen's test for superior predictive ability, consistent and studentised."""


@dataclass(frozen=True, kw_only=True)
class OverfittingTest(Record):
    """How the point chosen on one half of the days ranks on the other half."""

    probability: float
    """That it is in the worse half."""
    blocks: int
    splits: int
    logits: Sequence[Sequence[float]]
    """[rank logit, number of splits], in order."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap(Record):
    """How days were drawn again."""

    resamples: int
    block_days: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class LuckStatistics(Record):
    """How much of the best point's Sharpe ratio may be luck; annualised unless stated otherwise."""

    format: int = LUCK_FORMAT
    point: int
    """The point that is judged."""
    days: int
    """Its daily returns."""
    periods_per_year: float
    points: int
    left_out: int
    """Points without returns: ruined, or incomplete."""
    daily_sharpe: float
    skewness: float
    kurtosis: float
    variance_of_daily_sharpes: float
    variance_of_points: int
    """The number of points that the variance is of."""
    probabilistic_sharpe: float | None
    """The probability that the true Sharpe ratio is above zero."""
    minimum_track_record_days: float | None
    trials: int
    sharpe_by_luck: float
    """The best Sharpe ratio to expect of so many trials without skill."""
    deflated_sharpe: float | None
    """The probability that the true Sharpe ratio is above that."""
    sharpe_interval: Sequence[float]
    """The lower and the upper bound, with 95 %."""
    overfitting: OverfittingTest | None
    against_not_trading: SkillTest
    against_buy_and_hold: SkillTest | None = None
    """Absent when the prices of the run's days are not known, and in results of format 1."""
    bootstrap: Bootstrap


@dataclass(frozen=True, kw_only=True)
class RunResult(Record):
    """The outcome of a run's tasks."""

    format: int = RESULT_FORMAT
    run_digest: str
    """The sha256 over the manifests of all results: equal for runs with equal results."""
    complete: bool
    """Whether every planned task is ok."""
    counts: TaskCounts
    failed_by_kind: Mapping[str, int]
    objective: PlannedObjective
    best: BestPoint | None
    """``null`` when a task has no result, or no point has a value of the objective."""
    front: Front | None = None
    """Of a run with several objectives."""
    luck: LuckStatistics | None = None
    """What the statistics of luck say about the best point; absent when there is too little to
    judge."""
    incidents: Mapping[str, Mapping[str, int]]
    """What went wrong without failing a task: counts over all tasks, by kind."""
    warnings: Sequence[RunWarning]
    tables: TableDigests | None = None
    """Of a complete run."""

    def to_document(self) -> dict[str, Any]:
        """Return the content of ``result.json``."""
        return to_document(self) | {"warnings": [item.document() for item in self.warnings]}

    def to_json(self) -> str:
        """Return the text of ``result.json``."""
        return for_records(json.dumps(self.to_document(), indent=1, ensure_ascii=False)) + "\n"


def read_result(files: RunFiles) -> RunResult | None:
    """Return the result of a run, ``None`` when it has not reached its summary.

    Raises ``DataError`` when it is damaged.
    """
    return read_record(files.result, RunResult, RUN_AGAIN)


def parse_result(content: bytes) -> RunResult | None:
    """Return the result in the bytes of a file, ``None`` when they are damaged."""
    return parse_record(content, RunResult)
