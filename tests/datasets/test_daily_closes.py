"""The price of each day, compared with the rows of the file that the dataset was made from."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.small_experiment import BARS_A_DAY, DAY_STARTS, INSTRUMENT, SmallExperiment
from trading_runtime import api
from trading_runtime.datasets.daily_closes import daily_closes
from trading_runtime.datasets.slices import cut_partition

if TYPE_CHECKING:
    from pathlib import Path


def test_each_day_has_its_last_close_after_the_close_of_the_first_row(
    small: SmallExperiment, small_dataset: Path, tmp_path: Path
) -> None:
    small.write(partitions={"by": "week"}, parameters={"every": [20]})
    (window,) = api.plan(small.path).plan.partitions
    cut_partition(window, small_dataset, tmp_path / "catalog")

    found = daily_closes(window, tmp_path / "catalog")

    source = small_dataset.with_name(f"{small_dataset.name}-source") / "bars.csv"
    rows = csv.DictReader(source.read_text().splitlines())
    closes = [Decimal(row["close"]) for row in rows]
    days = [start // 86_400 for start in DAY_STARTS]
    expected = [(days[0], closes[0])]
    expected += [(day, closes[(n + 1) * BARS_A_DAY - 1]) for n, day in enumerate(days)]
    assert list(found) == [INSTRUMENT]
    assert [(day, Decimal(price)) for day, price in found[INSTRUMENT]] == expected
