"""From Python: plan, run, and results as polars frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.errors import Kind, UsageError

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def test_a_run_gives_its_tables_as_frames(small: SmallExperiment) -> None:
    run = api.run(small.path, run_id="run", workers=2)

    assert (run.kind, run.computed, run.run_id) == (Kind.OK, 12, "run")
    assert isinstance(run.results, pl.DataFrame)
    assert run.results.select("point", "partition").rows() == [
        (point, partition) for point in range(4) for partition in range(3)
    ]
    assert run.points["param.every"].to_list() == [20, 30, 40, 50]
    assert run.failures == []
    assert run.report.is_file()
    # Money of successive partitions is summed.
    of_point = run.results.filter(pl.col("point") == 2)
    assert run.points["net_profit"][2] == of_point["net_profit"].sum()


def test_a_stored_run_is_opened_by_its_id(small: SmallExperiment) -> None:
    run = api.run(small.path, run_id="run", workers=2)
    opened = api.open_run(small.results, "run")

    assert opened.result == run.result
    assert opened.results.equals(run.results)
    assert opened.points.equals(run.points)


def test_a_run_without_a_name_gets_one_from_the_experiment(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    names = [api.run(small.path).run_id for _ in range(2)]

    assert len(set(names)) == 2
    assert all(name.startswith("small-2") for name in names)


@pytest.mark.parametrize("run_id", ["none", "../none"])
def test_a_run_that_is_not_there_cannot_be_opened(small: SmallExperiment, run_id: str) -> None:
    with pytest.raises(UsageError, match="none"):
        api.open_run(small.results, run_id)


def test_failed_tasks_do_not_raise(small: SmallExperiment) -> None:
    small.use("failing.py:Failing", way=["none", "raise"])
    run = api.run(small.path, run_id="run", workers=1)

    assert run.kind is Kind.INCOMPLETE
    assert [failure["kind"] for failure in run.failures] == ["strategy"]
