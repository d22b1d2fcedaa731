"""Stock splits: told when they look forgotten, and adjusted with exact numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets.data_file import BarSeries, load_preparation
from trading_runtime.datasets.prepare import Prepared, prepare
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Apple's split of four for one, as its prices were then.
APPLE = """timestamp,open,high,low,close,volume
2020-08-28,504.05,505.77,498.31,499.23,46907500
2020-08-31,127.58,131.00,126.00,129.04,225702700
"""
STOCK = {"type": "Equity", "id": "AAPL.XNAS", "currency": "USD", "price_increment": "0.01"}


def prepared(tmp_path: Path, text: str, **settings: Any) -> Prepared:
    (tmp_path / "raw.csv").write_text(text)
    (tmp_path / "instruments.json").write_text(json.dumps(STOCK))
    series = {
        "type": "bars", "instrument": "AAPL.XNAS", "files": "raw.csv", "bar": "1-DAY-LAST",
        "timestamp_marks": "open",
    }  # fmt: skip
    content = {"instruments": "instruments.json", "series": [series | settings]}
    (tmp_path / "data.json").write_text(json.dumps(content))
    loaded = load_preparation(tmp_path / "data.json")
    known = read_instruments(loaded.instrument_files)
    return prepare(loaded, known, write_instruments, tmp_path / "made")


def test_a_price_that_falls_to_a_quarter_overnight_is_told_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"raw.csv:3: .* split of 4 .*\'splits: \{\"2020-08-31\": 4"
    ):
        prepared(tmp_path, APPLE)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [("America/New_York", ""), ("UTC", "T04:00:00Z"), ("Europe/Berlin", "T00:00:00")],
    ids=["dates in New York", "midnights of New York in UTC", "Berlin"],
)
def test_the_setting_that_is_told_leaves_the_first_day_of_the_new_price_as_it_is(
    zone: str, hour: str, tmp_path: Path
) -> None:
    text = APPLE.replace("-28,", f"-28{hour},").replace("-31,", f"-31{hour},")

    with pytest.raises(DataError, match=r"'splits: \{\"2020-08-31\": 4\}'"):
        prepared(tmp_path, text, time_zone=zone)
    made = prepared(tmp_path, text, time_zone=zone, splits={"2020-08-31": 4})

    bars = ParquetDataCatalog(str(made.folder)).query_bars()
    assert [str(bar.open) for bar in bars] == ["126.01", "127.58"]


def test_rows_before_a_split_are_put_on_the_terms_after_it(tmp_path: Path) -> None:
    made = prepared(tmp_path, APPLE, splits={"2020-08-31": 4})

    first, second = ParquetDataCatalog(str(made.folder)).query_bars()
    # 504.05 / 4 = 126.0125, 505.77 / 4 = 126.4425, 498.31 / 4 = 124.5775, 499.23 / 4 = 124.8075
    found = [str(value) for value in (first.open, first.high, first.low, first.close, first.volume)]
    assert found == ["126.01", "126.44", "124.58", "124.81", "187630000"]
    assert (str(second.open), str(second.volume)) == ("127.58", "225702700")
    [described] = made.manifest.source["series"]
    assert described["settings"]["splits"] == {"2020-08-31": "4"}
    assert described["rounded"] == {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 0}


def test_splits_one_after_another_and_reverse_ones_multiply(tmp_path: Path) -> None:
    text = """timestamp,open,high,low,close,volume
2020-01-01,100,100,100,100,10
2020-01-02,50,50,50,50,20
2020-01-03,500,500,500,500,2
"""
    made = prepared(tmp_path, text, splits={"2020-01-02": 2, "2020-01-03": "0.1"})

    bars = ParquetDataCatalog(str(made.folder)).query_bars()
    assert [str(bar.close) for bar in bars] == ["500.00", "500.00", "500.00"]
    assert [str(bar.volume) for bar in bars] == ["2", "2", "2"]


THREE_FOR_TWO = """timestamp,open,high,low,close,volume
2024-01-03,150.00,151.00,149.00,150.10,1000
2024-01-04,100.00,101.00,99.00,100.00,1500
"""


def test_three_shares_for_two_are_told_and_adjusted_as_a_fraction(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"split of \"3/2\" .*\{\"2024-01-04\": \"3/2\"\}"):
        prepared(tmp_path, THREE_FOR_TWO)

    made = prepared(tmp_path, THREE_FOR_TWO, splits={"2024-01-04": "3/2"})

    first = ParquetDataCatalog(str(made.folder)).query_bars()[0]
    # 150 / 1.5, 151 / 1.5 = 100.67, 149 / 1.5 = 99.33, 150.1 / 1.5 = 100.07, 1000 * 1.5
    found = [str(value) for value in (first.open, first.high, first.low, first.close, first.volume)]
    assert found == ["100.00", "100.67", "99.33", "100.07", "1500"]


def test_a_price_that_rises_by_half_is_no_split(tmp_path: Path) -> None:
    text = THREE_FOR_TWO.replace("100.00,101.00,99.00,100.00", "225.00,226.00,224.00,225.00")

    assert prepared(tmp_path, text).manifest.rows == 2


def test_a_reverse_split_of_three_is_told_as_the_exact_fraction(tmp_path: Path) -> None:
    text = THREE_FOR_TWO.replace("100.00,101.00,99.00,100.00", "450.00,451.00,449.00,450.00")

    with pytest.raises(DataError, match=r"splits: \{\"2024-01-04\": \"1/3\"\}"):
        prepared(tmp_path, text)


@pytest.mark.parametrize("ratio", [1.5, "1.5", "3:2"])
def test_a_ratio_may_be_a_number_as_a_command_line_gives_it(ratio: object) -> None:
    series = BarSeries.model_validate({
        "type": "bars", "instrument": "AAPL.XNAS", "files": "raw.csv", "bar": "1-DAY-LAST",
        "timestamp_marks": "open", "splits": {"2024-01-04": ratio}, "volume": 0.5,
    })  # fmt: skip

    assert series.splits is not None
    assert Fraction(series.splits["2024-01-04"]) == Fraction(3, 2)
    assert series.volume == Decimal("0.5")


@pytest.mark.parametrize("ratio", [0, -2, "2/0", "x"])
def test_a_ratio_that_is_none_is_refused(ratio: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a ratio above 0; write 4, 0\.1 or"):
        prepared(tmp_path, APPLE, splits={"2020-08-31": ratio})


def test_a_real_fall_is_taken_when_that_is_said(tmp_path: Path) -> None:
    made = prepared(tmp_path, APPLE, splits={})

    assert str(ParquetDataCatalog(str(made.folder)).query_bars()[0].open) == "504.05"


def test_a_day_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'2020-31-08' is not a day"):
        prepared(tmp_path, APPLE, splits={"2020-31-08": 4})


def test_a_file_of_a_stock_without_a_usable_row_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"raw.csv:2: timestamp 'x' is not a time"):
        prepared(tmp_path, "timestamp,open,high,low,close,volume\nx,1,1,1,1,1\n")
