"""When a day is added to a dataset, only the tasks of its windows are new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.small_experiment import DAY_STARTS, SmallExperiment, make_dataset
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

NEXT_DAY = DAY_STARTS[-1] + 86_400


def append_day(dataset: Path, tmp_path: Path) -> None:
    """Append four hours of bars on the day after the dataset's last."""
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


def test_only_tasks_of_windows_that_new_rows_touch_are_new(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    small = SmallExperiment(tmp_path / "experiment", dataset)
    before = api.plan(small.path).plan.task_ids
    append_day(dataset, tmp_path)

    after = api.plan(small.path).plan.task_ids
    assert after[: len(before)] == before
    assert len(after) - len(before) == 4, "four points on the day that is new"


def test_the_last_windows_are_those_that_all_of_the_data_has(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    small = SmallExperiment(tmp_path / "experiment", dataset)
    whole = api.plan(small.path).plan
    # The data ends at 04:00 of the third day: 24 hours before it is within the second.
    small.write(partitions=small.content["partitions"] | {"last": "24h"})
    last = api.plan(small.path).plan

    starts = [partition.start // 10**9 for partition in last.partitions]
    assert starts == list(DAY_STARTS[1:])
    assert last.task_ids == whole.task_ids[-len(last.task_ids) :]


def test_windows_relative_to_the_end_move_on_with_the_data_and_compute_only_what_is_new(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path / "data")
    small = SmallExperiment(tmp_path / "experiment", dataset)
    small.write(partitions=small.content["partitions"] | {"last": "24h"})
    before = api.plan(small.path).plan.task_ids
    append_day(dataset, tmp_path)

    after = api.plan(small.path).plan
    assert [partition.start // 10**9 for partition in after.partitions] == [
        DAY_STARTS[-1],
        NEXT_DAY,
    ]
    assert set(before) & set(after.task_ids) == set(before[4:])
    assert len(set(after.task_ids) - set(before)) == 4
