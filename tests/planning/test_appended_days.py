"""When a day is added to a dataset, only the tasks of its windows are new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.small_experiment import DAY_STARTS, SmallExperiment, make_dataset
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

NEXT_DAY = DAY_STARTS[-1] + 86_400


def test_only_tasks_of_windows_that_new_rows_touch_are_new(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    small = SmallExperiment(tmp_path / "experiment", dataset)
    before = api.plan(small.path).plan.task_ids
    source = tmp_path / "data-source"
    (source / "new.csv").write_text(
        "timestamp,open,high,low,close,volume\n"
        + "".join(
            f"{NEXT_DAY + 60 * minute},42000.0,42001.0,41999.0,42000.0,5.000\n"
            for minute in range(240)
        )
    )
    settings = source / "bars.data.json"
    settings.write_text(settings.read_text().replace('"bars.csv"', '["bars.csv", "new.csv"]'))

    assert invoke(root, ["data", "append", str(settings), "--to", str(dataset)]) == 0

    after = api.plan(small.path).plan.task_ids
    assert after[: len(before)] == before
    assert len(after) - len(before) == 4, "four points on the day that is new"
