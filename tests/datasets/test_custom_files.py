"""Rows of the user's own: what is read from files, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from nautilus_trader.model import CustomData, DataType, register_custom_data_class
from nautilus_trader.model.custom import customdataclass
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets import raw_files
from trading_runtime.datasets.adopt import adopt
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.engine.instruments.catalog import read_catalog_instruments
from trading_runtime.engine.instruments.files import instrument_types
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datasets.conftest import Grow, Prepare

FIELDS = {"score": "float", "posts": "int", "label": "str", "hot": "bool"}
SETTINGS: dict[str, Any] = {"name": "mood", "fields": FIELDS}
RAW = (
    "timestamp,score,posts,label,hot\n"
    '2024-01-30T10:00:00Z,-1.5e-3,12,"calm, mostly",true\n'
    "2024-01-30T10:00:00Z,0.1,-7,,no\n"
    "2024-02-01T09:30:00Z,17,9007199254740993,wild,0\n"
)


def rows_of(dataset: Path) -> list[tuple[Any, ...]]:
    """All rows of the dataset's custom series, with the seconds at which they are seen."""
    found: list[tuple[Any, ...]] = []
    for path in sorted((dataset / "data" / "custom" / "BTCUSDT.SIM-mood").iterdir()):
        table = pq.read_table(path)
        seen = [value // 10**9 for value in table["ts_init"].cast("int64").to_pylist()]
        found += zip(*(table[name].to_pylist() for name in FIELDS), seen, strict=True)
    return found


@pytest.mark.parametrize("block", [raw_files.BLOCK_BYTES, 60])
def test_values_are_those_of_the_file_however_large_a_block_is(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(raw_files, "BLOCK_BYTES", block)

    made = prepare_files("custom", {"raw.csv": RAW}, **SETTINGS)

    read = list(csv.DictReader(io.StringIO(RAW)))
    seconds = [1_706_608_800, 1_706_608_800, 1_706_779_800]
    hot = [True, False, False]
    assert rows_of(made.folder) == [
        (float(row["score"]), int(row["posts"]), row["label"], flag, second)
        for row, flag, second in zip(read, hot, seconds, strict=True)
    ]
    # A file a month, a row group a day.
    assert [len(file.row_groups) for file in made.manifest.files] == [1, 1]
    assert {file.identifier for file in made.manifest.files} == {"BTC/USDT.SIM-mood"}


def test_files_and_order_of_arrival_do_not_change_the_bytes(
    prepare_files: Prepare, grow: Grow
) -> None:
    whole = prepare_files("custom", {"raw.csv": RAW}, **SETTINGS).manifest
    header, *lines = RAW.splitlines(keepends=True)
    parts: dict[str, str | bytes] = {
        "a.csv": header + lines[0] + lines[1],
        "b.csv": header + lines[2],
    }

    split = prepare_files("custom", parts, force=True, **SETTINGS).manifest
    prepare_files("custom", {"a.csv": parts["a.csv"]}, force=True, **SETTINGS)
    grown = grow("custom", parts, **SETTINGS).manifest

    names = [(file.path, file.sha256) for file in whole.files]
    assert [(file.path, file.sha256) for file in split.files] == names
    assert [(file.path, file.sha256) for file in grown.files] == names


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2024-01-30T11:00:00Z,x,1,a,true", "score 'x' is not a finite number"),
        ("2024-01-30T11:00:00Z,nan,1,a,true", "score 'nan' is not a finite number"),
        ("2024-01-30T11:00:00Z,,1,a,true", "score has no value"),
        ("2024-01-30T11:00:00Z,1,1.5,a,true", "posts '1.5' is not a whole number of 64 bits"),
        ("2024-01-30T11:00:00Z,1,9223372036854775808,a,true", "is not a whole number of 64 bits"),
        ("2024-01-30T11:00:00Z,1,1,a,maybe", "hot 'maybe' is none of true"),
        ("2024-01-29T11:00:00Z,1,1,a,true", "timestamp goes back"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(
    prepare_files: Prepare, line: str, message: str
) -> None:
    raw = "\n".join([*RAW.splitlines()[:3], line, ""])
    with pytest.raises(DataError, match=rf"raw\.csv:4: .*{message}"):
        prepare_files("custom", {"raw.csv": raw}, **SETTINGS)


def test_a_whole_number_may_be_written_as_a_floating_point_one(prepare_files: Prepare) -> None:
    raw = RAW.replace(",12,", ",12.0,").replace(",-7,", ",-7.00,")

    made = prepare_files("custom", {"raw.csv": raw}, **SETTINGS)

    assert [row[1] for row in rows_of(made.folder)] == [12, -7, 9007199254740993]


def test_bad_rows_may_be_left_out_and_are_counted(prepare_files: Prepare) -> None:
    raw = RAW.replace("0.1,", "n/a,")
    made = prepare_files("custom", {"raw.csv": raw}, on_bad_row="drop", **SETTINGS)
    assert len(rows_of(made.folder)) == 2
    [entry] = made.manifest.source["series"]
    assert entry["dropped"] == {"score is not a finite number": 1}


@pytest.mark.parametrize(
    ("time", "place"), [("", r"a\.csv:2: timestamp"), ("T00:00:00Z", r"a\.csv: all rows")]
)
@pytest.mark.parametrize("files", [("a.csv", "a.csv"), ("a.csv", "b.csv")])
def test_rows_with_dates_alone_need_a_delay(
    prepare_files: Prepare, time: str, place: str, files: tuple[str, str]
) -> None:
    raw: dict[str, str | bytes] = dict.fromkeys(files, RAW.splitlines()[0] + "\n")
    for name, day in zip(files, (2, 3), strict=True):
        raw[name] = f"{raw[name]!s}2024-01-0{day}{time},1,1,a,true\n"

    with pytest.raises(DataError, match=rf"{place} .*row as its day begins.*; set 'delay: 1d'"):
        prepare_files("custom", raw, **SETTINGS)
    later = prepare_files("custom", raw, delay="1d", **SETTINGS)
    assert [row[-1] for row in rows_of(later.folder)] == [1_704_240_000, 1_704_326_400]
    at_once = prepare_files("custom", raw, delay="none", force=True, **SETTINGS)
    assert [row[-1] for row in rows_of(at_once.folder)] == [1_704_153_600, 1_704_240_000]


def test_a_delay_of_days_ends_with_the_day_in_its_zone(prepare_files: Prepare) -> None:
    days = ["2024-03-30", "2024-03-31", "2024-10-26", "2024-10-27", "2024-10-28"]
    rows = "".join(f"{day},1,1,a,true\n" for day in days)
    raw: dict[str, str | bytes] = {"raw.csv": f"{RAW.splitlines()[0]}\n{rows}"}
    zone = "Europe/Berlin"

    made = prepare_files("custom", raw, delay="1d", time_zone=zone, **SETTINGS)

    # Midnights of Berlin: at 23:00 UTC in winter, at 22:00 in summer. The second of these days
    # has 23 hours, the fourth 25.
    assert [row[-1] for row in rows_of(made.folder)] == [
        1_711_839_600, 1_711_922_400, 1_729_980_000, 1_730_070_000, 1_730_156_400
    ]  # fmt: skip
    times = [f"{day} 02:30:00" for day in ("2024-03-30", "2024-10-26")]
    raw["raw.csv"] = RAW.splitlines()[0] + "\n" + "".join(f"{time},1,1,a,true\n" for time in times)
    made = prepare_files("custom", raw, delay="1d", time_zone=zone, force=True, **SETTINGS)
    # 02:30 does not exist on the first next day, and comes twice on the second: the later one.
    assert [row[-1] for row in rows_of(made.folder)] == [1_711_848_600, 1_729_992_600]


@pytest.mark.parametrize(("header", "what"), [("auto", "'header: auto' takes"), (False, "a file")])
def test_fields_of_files_without_a_header_are_asked_for_where_they_are_given(
    tmp_path: Path, header: Any, what: str
) -> None:
    series = {"type": "custom", "instrument": "A.B", "files": "raw.csv", "header": header}
    series |= {"columns": {"timestamp": 1}} | SETTINGS
    content = {"instruments": "instrument.json", "series": [series]}
    (tmp_path / "data.json").write_text(json.dumps(content))

    with pytest.raises(UsageError) as caught:
        load_preparation(tmp_path / "data.json")
    assert f"series[0].fields: {what}" in str(caught.value)
    assert 'for score, posts, label, hot: {"score": {"type": "float", "column": 2}}' in str(
        caught.value
    )
    assert "series[0].columns" not in str(caught.value)


@pytest.mark.parametrize("block", [raw_files.BLOCK_BYTES, 40])
def test_midnights_are_dates_only_if_all_rows_are_at_one(
    prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(raw_files, "BLOCK_BYTES", block)
    midnights = "".join(f"2024-01-0{day} 00:00:00,1,1,a,true\n" for day in (2, 3, 4))
    header = f"{RAW.splitlines()[0]}\n"
    zone = "America/New_York"

    with pytest.raises(DataError, match="all rows are at midnight"):
        prepare_files("custom", {"raw.csv": header + midnights}, time_zone=zone, **SETTINGS)
    later = f"{header}2024-01-01 09:30:00,1,1,a,true\n{midnights}"
    made = prepare_files("custom", {"raw.csv": later}, time_zone=zone, **SETTINGS)
    # 09:30 in New York in winter, then midnights.
    assert [row[-1] for row in rows_of(made.folder)] == [
        1_704_119_400, 1_704_171_600, 1_704_258_000, 1_704_344_400
    ]  # fmt: skip


def test_rows_may_be_seen_when_they_were_received(prepare_files: Prepare) -> None:
    raw = "timestamp,at,Score today\n2024-01-02,2024-01-03T10:00:00Z,1.5\n"
    fields = {"score": {"type": "float", "column": "Score today"}}
    made = prepare_files(
        "custom", {"raw.csv": raw}, name="mood", fields=fields, columns={"received": "at"}
    )
    [file] = made.manifest.files
    table = pq.read_table(made.folder / file.path)
    times = [table[name].cast("int64")[0].as_py() for name in ("ts_event", "ts_init")]
    assert times == [1_704_153_600 * 10**9, 1_704_276_000 * 10**9]
    assert table["score"].to_pylist() == [1.5]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fields": {}}, "fields: must not be empty"),
        ({"fields": {"class": "float"}}, "'class' cannot name an attribute"),
        ({"fields": {"ts_init": "int"}}, "fields: 'ts_init' is taken"),
        (
            {"fields": {"score": "decimal"}},
            'series[0].fields.score: "decimal" is not accepted; accepted are float, int, str, bool',
        ),
        (
            {"fields": {"score": {"type": "float", "colum": "Score"}}},
            "series[0].fields.score.colum: unknown key; did you mean 'column'?",
        ),
        ({"delay": "soon"}, "series[0].delay: 'soon' is not a duration"),
        ({"columns": {"timestamp": [1, 2.5]}}, "series[0].columns.timestamp[1]: must be a whole"),
        ({"name": "my mood"}, "'my mood' cannot name an attribute"),
        ({"delay": "1d", "columns": {"received": "at"}}, "either 'delay' or 'columns.received'"),
        ({"off_tick": "round"}, "'off_tick' is for prices; custom rows have none: leave it out"),
        ({"gate": {"max_jump": 0.1}}, "'gate.max_jump' is for prices"),
    ],
)
def test_settings_that_name_no_attribute_or_change_nothing_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    series = {"type": "custom", "instrument": "A.B", "files": "raw.csv"} | SETTINGS | settings
    content = {"instruments": "instrument.json", "series": [series]}
    (tmp_path / "data.json").write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        load_preparation(tmp_path / "data.json")
    assert message in str(caught.value)


def test_adopting_keeps_prepared_rows_and_leaves_out_those_of_the_engine(
    prepare_files: Prepare,
) -> None:
    made = prepare_files("custom", {"raw.csv": RAW}, **SETTINGS)
    kinds = frozenset(instrument_types())
    assert (
        adopt(made.folder, kinds, read_catalog_instruments).manifest.digest == made.manifest.digest
    )

    @customdataclass
    class Theirs:
        score: float

    register_custom_data_class(Theirs)
    make: Any = Theirs
    ParquetDataCatalog(str(made.folder)).write_custom_data(
        [CustomData(DataType("Theirs"), make(1, 1, 2.0))]
    )

    adopted = adopt(made.folder, kinds, read_catalog_instruments)
    assert adopted.skipped == ("custom",)
    assert adopted.manifest.digest == made.manifest.digest
