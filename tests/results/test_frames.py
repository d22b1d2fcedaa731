"""The tables of a run: columns, types, order, bytes, and which point is named the best."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.results.sample_run import sample_run
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.errors import UsageError
from trading_runtime.records.result import BestPoint
from trading_runtime.results.frames import (
    best,
    parameter_columns,
    points_frame,
    ranked,
    results_frame,
    write_frame,
)
from trading_runtime.results.task_table import TASK_STATISTICS, TaskTable

if TYPE_CHECKING:
    from pathlib import Path

OBJECTIVE = "sharpe"


def row(point: int, sharpe: float | None, **more: Any) -> dict[str, Any]:
    counts = {"tasks": 1, "ok": 1, "failed": 0, "missing": 0}
    statistics = dict.fromkeys(POINT_STATISTICS)
    return {
        "point": point,
        "parameters": {"fast": point},
        **counts,
        **statistics,
        "sharpe": sharpe,
        **more,
    }


def test_results_have_a_row_for_every_planned_task_in_order_of_point_and_partition() -> None:
    run = sample_run(
        {"fast": [5, 6]}, partitions=3, status=lambda k, i: "crash" if (k, i) == (1, 0) else "ok"
    )
    assert list(run.results.select("point", "partition").iter_rows()) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2),
    ]  # fmt: skip
    assert run.results["status"].to_list() == ["ok"] * 3 + ["crash"] + ["ok"] * 2
    assert run.results["param.fast"].to_list() == [5, 5, 5, 6, 6, 6]


def test_columns_are_ids_window_parameters_status_and_the_summary_in_its_order() -> None:
    frame = sample_run({"fast": [5], "size": [Decimal("0.5")]}).results
    assert frame.columns == [
        "task_id", "point", "partition", "start", "end", "instruments", "param.fast", "param.size",
        "status", *TASK_STATISTICS,
    ]  # fmt: skip
    assert frame.schema["start"] == pl.Datetime("ns", "UTC")
    assert frame["start"][0] == dt.datetime(2022, 1, 3, tzinfo=dt.UTC)
    assert frame.schema["net_profit"] == frame.schema["param.size"] == pl.Decimal(38, 16)


def test_amounts_keep_all_sixteen_places() -> None:
    frame = points_frame([row(0, 1.0, net_profit="1234567890123456789012.1234567890123456")])
    assert frame["net_profit"][0] == Decimal("1234567890123456789012.1234567890123456")


def test_a_task_without_a_result_is_null_and_without_any_trace_missing() -> None:
    plan = sample_run({"fast": [5]}, partitions=1).plan
    frame = results_frame(plan, {}, TaskTable().statistics())
    assert frame["status"].to_list() == ["missing"]
    assert frame.select(*TASK_STATISTICS).null_count().row(0) == (1,) * len(TASK_STATISTICS)


def test_points_have_counts_parameters_and_statistics() -> None:
    frame = points_frame([row(1, None, ok=0, missing=1), row(0, 1.5)])
    assert frame.columns == [
        "point", "param.fast", "tasks", "ok", "failed", "missing", *POINT_STATISTICS,
    ]  # fmt: skip
    assert frame["point"].to_list() == [0, 1]
    assert frame["sharpe"].to_list() == [1.5, None]


@pytest.mark.parametrize(
    ("values", "dtype", "stored"),
    [
        ([1, 2], pl.Int64, [1, 2]),
        ([True, None], pl.Boolean, [True, None]),
        ([1, 0.5], pl.Float64, [1.0, 0.5]),
        ([Decimal("0.10"), 1], pl.Decimal(38, 16), [Decimal("0.1"), Decimal(1)]),
        (["0.1", "1"], pl.Decimal(38, 16), [Decimal("0.1"), Decimal(1)]),
        (["a", "0.1"], pl.String, ["a", "0.1"]),
        ([[1, 2], [3]], pl.String, ["[1,2]", "[3]"]),
        ([2**63, 1], pl.String, ["9223372036854775808", "1"]),
        ([Decimal("1e-20")], pl.String, ["0.00000000000000000001"]),
        ([None, None], pl.String, [None, None]),
    ],
)
def test_a_parameter_column_has_the_type_of_its_values(
    values: list[Any], dtype: Any, stored: list[Any]
) -> None:
    (column,) = parameter_columns([{"x": value} for value in values])
    assert column.name == "param.x"
    assert column.dtype == dtype
    assert column.to_list() == stored


def test_the_same_content_gives_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    rows = [row(k, float(k % 7), net_profit=f"{k}.5") for k in range(200)]
    write_frame(points_frame(rows), tmp_path / "a.parquet")
    random.Random(1).shuffle(rows)  # noqa: S311 - any order
    write_frame(points_frame(rows), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_run_without_points_has_an_empty_table(tmp_path: Path) -> None:
    frame = points_frame([])
    write_frame(frame, tmp_path / "empty.parquet")
    assert pl.read_parquet(tmp_path / "empty.parquet").height == 0
    assert best(frame, OBJECTIVE) is None


def test_the_best_point_is_the_highest_and_of_equal_ones_the_first() -> None:
    frame = points_frame([row(0, 1.0), row(1, 2.0), row(2, 2.0)])
    assert best(frame, OBJECTIVE) == BestPoint(point=1, parameters={"fast": 1}, value=2.0)


def test_minimize_takes_the_lowest() -> None:
    frame = points_frame([row(0, 1.0), row(1, -2.0), row(2, None)])
    found = best(frame, "sharpe", "minimize")
    assert found is not None
    assert found.point == 1


def test_an_undefined_value_never_wins() -> None:
    assert best(points_frame([row(0, None), row(1, -5.0)]), OBJECTIVE) == BestPoint(
        point=1, parameters={"fast": 1}, value=-5.0
    )
    assert best(points_frame([row(0, None)]), OBJECTIVE) is None


def test_no_best_point_is_named_while_a_task_is_missing_unless_asked() -> None:
    frame = points_frame([row(0, 1.0), row(1, None, ok=0, missing=1)])
    assert best(frame, OBJECTIVE) is None
    found = best(frame, OBJECTIVE, allow_incomplete=True)
    assert found is not None
    assert found.point == 0


def test_money_is_named_as_a_decimal_text() -> None:
    frame = points_frame([row(0, 1.0, net_profit="12.50")])
    found = best(frame, "net_profit")
    assert found is not None
    assert found.value == "12.5"


def test_an_unknown_metric_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match=r"'sharp' is not a statistic .* did you mean 'sharpe'"):
        best(points_frame([row(0, 1.0)]), "sharp")


def test_ranking_puts_undefined_last_and_equal_ones_in_order() -> None:
    frame = points_frame([row(0, None), row(1, 1.0), row(2, 3.0), row(3, 1.0)])
    assert ranked(frame, "sharpe")["point"].to_list() == [2, 1, 3, 0]
    assert ranked(frame, "sharpe", "minimize")["point"].to_list() == [1, 3, 2, 0]
