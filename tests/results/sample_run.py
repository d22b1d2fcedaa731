"""Made-up runs of any shape, put together by the real aggregation: for the report and the CLI."""

from __future__ import annotations

import dataclasses
import itertools
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.plans import VENUE, common_inputs, made_up_plan, partition
from tests.results.observed import YEAR, throughout
from trading_runtime.canonical import digest
from trading_runtime.errors import Kind
from trading_runtime.records.failures import TaskFailure
from trading_runtime.records.plan import PlannedObjective, Task
from trading_runtime.records.planned_data import PlannedSeries
from trading_runtime.records.result import RunResult, TaskCounts
from trading_runtime.report.content import ReportInputs
from trading_runtime.results.calendar import observed_facts
from trading_runtime.results.frames import best, points_frame, results_frame
from trading_runtime.results.points import TaskOutcome, aggregate_point, chained_curve
from trading_runtime.results.statistics import Fills, Trade, task_statistics
from trading_runtime.results.task_table import TaskTable
from trading_runtime.units import DAY, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOUR = DAY // 24
START = parse_instant("2022-01-03")

BARS = PlannedSeries(
    "bars", "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL", "BTCUSDT-PERP.SIM", (), (), ()
)
EXPERIMENT: dict[str, Any] = {
    "name": "btc-ema-cross",
    "partitions": {"by": "week", "warmup": "1d"},
}


def sample_run(  # noqa: PLR0913 - one argument for each way in which runs differ
    space: Mapping[str, Sequence[Any]],
    *,
    partitions: int = 4,
    days: int = 7,
    metric: str = "sharpe",
    status: Callable[[int, int], str] = lambda _point, _partition: "ok",
    ruin: Callable[[int, int], bool] = lambda _point, _partition: False,
    trades_per_task: int = 12,
) -> ReportInputs:
    """Return a run over all combinations of ``space``.

    ``status`` and ``ruin`` are asked with (point, partition).
    """
    names = list(space)
    points = [
        dict(zip(names, values, strict=True)) for values in itertools.product(*space.values())
    ]
    windows = [(START + i * days * DAY, START + (i + 1) * days * DAY) for i in range(partitions)]
    plan = made_up_plan(
        [
            Task(digest([point, i]), i, k, cached=False, seconds=None)
            for i in range(partitions)
            for k, point in enumerate(points)
        ],
        points=points,
        partitions=[
            dataclasses.replace(
                partition(i, *window, instruments=("BTCUSDT-PERP.SIM",), warmup_short=i == 0),
                data=(BARS,),
            )
            for i, window in enumerate(windows)
        ],
        objective=PlannedObjective(metric, "maximize"),
        experiment_name=EXPERIMENT["name"],
        dataset_digest=digest("dataset"),
        common=common_inputs(
            strategy={"path": "trading_runtime.strategies.ema_cross:EmaCross", "config_path": None},
            venue=VENUE | {"fees": {"model": "maker_taker", "maker": "0.0002", "taker": "0.0005"}},
            periods_per_year=None,
        ),
    )
    rows, curves = [], {}
    statuses, summaries, failures = {}, {}, []
    for k, point in enumerate(points):
        outcomes = []
        for i, window in enumerate(windows):
            task_id = digest([point, i])
            state = status(k, i)
            outcome = TaskOutcome(i, *window, ("BTCUSDT-PERP.SIM",), state)
            if state == "ok":
                outcome = _done(outcome, k, ruined=ruin(k, i), trades=trades_per_task)
                summaries[task_id] = outcome.summary or {}
            elif state != "missing":
                failures.append(_failure(task_id, state))
            if state != "missing":
                statuses[task_id] = state
            outcomes.append(outcome)
        rows.append(aggregate_point(k, point, outcomes, YEAR))
        curves[k] = outcomes
    frame = points_frame(rows)
    winner = best(frame, metric)
    table = TaskTable()
    table.add(summaries)
    counts = TaskCounts(
        planned=len(plan.tasks),
        ok=len(summaries),
        failed=len(failures),
        missing=len(plan.tasks) - len(summaries) - len(failures),
    )
    kinds = sorted({failure.kind.value for failure in failures})
    return ReportInputs(
        run_id="btc-ema-cross-20220201",
        experiment=EXPERIMENT,
        plan=plan,
        result=RunResult(
            run_digest=digest("run"),
            complete=counts.ok == counts.planned,
            counts=counts,
            failed_by_kind={kind: sum(each.kind == kind for each in failures) for kind in kinds},
            objective=plan.objective,
            best=winner,
            incidents={},
            warnings=(),
        ),
        results=results_frame(plan, statuses, table.statistics()),
        points=frame,
        curve=chained_curve(curves[winner.point]) if winner else (),
        failures=failures,
        data_types=("bars",),
        identities={
            "Run digest": digest("run"),
            "Dataset digest": digest("dataset"),
            "Strategy code": digest("code"),
            "Engine": "nautilus_trader 2.0.0rc7",
            "Runtime": "trading-runtime 0.1.0",
        },
        packages={"polars": "2.1.0", "pyarrow": "22.0.0", "numpy": "2.3.5"},
    )


def with_common(run: ReportInputs, **changes: Any) -> ReportInputs:
    """The run with other inputs of its tasks."""
    common = dataclasses.replace(run.plan.common, **changes)
    return dataclasses.replace(run, plan=dataclasses.replace(run.plan, common=common))


def _failure(task_id: str, kind: str) -> TaskFailure:
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "strategies/ema_cross.py", line 41, in on_bar\n'
        "    size = self.cash / bar.close\n"
        "ZeroDivisionError: division by zero\n"
    )
    message = "on_bar raised ZeroDivisionError: division by zero <script>alert(1)</script>"
    return TaskFailure.of(task_id, Kind(kind), message, traceback)


def _done(outcome: TaskOutcome, point: int, *, ruined: bool, trades: int) -> TaskOutcome:
    chance = random.Random(f"{point}/{outcome.partition}")  # noqa: S311 - made-up data
    hours = (outcome.end - outcome.start) // HOUR
    drift = 6 * (1 - abs(point % 23 - 11) / 8)
    equity = [(outcome.start, Decimal(100_000))]
    for hour in range(1, hours + 1):
        step = Decimal(f"{chance.gauss(drift if trades else 0, 130 if trades else 0):.2f}")
        equity.append((outcome.start + hour * HOUR, equity[-1][1] + step))
    if ruined:
        equity[-3:] = [(ts, Decimal(-250)) for ts, _ in equity[-3:]]
    positions = [
        Trade(
            Decimal(f"{chance.gauss(20, 220):.2f}"),
            outcome.start + k * hours // trades * HOUR,
            outcome.start + (k * hours // trades + 7) * HOUR if k < trades - 1 else None,
        )
        for k in range(trades)
    ]
    fills = Fills(2 * trades, Decimal(8400) * trades, Decimal("4.2") * trades)
    seen = throughout(outcome.start, outcome.end)
    summary = {
        "rows": 60 * hours,
        "warmup_rows": 1440,
        "warmup_short": outcome.partition == 0,
        "currency": "USDT",
        **task_statistics(equity, seen, fills, positions, YEAR),
        **observed_facts(seen),
        "orders": 2 * trades,
        "denied_orders": 0,
        "partly_filled_orders": 0,
        "funding": "0",
        "funding_settlements": 0,
        "warmup_denied_orders": 0,
    }
    return dataclasses.replace(outcome, summary=summary, equity=equity, trades=positions)
