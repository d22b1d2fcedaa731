"""Partitions: windows over a made-up dataset whose every row is known."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_runtime.config.experiment import DatasetSettings, PartitionSettings
from trading_runtime.datasets.manifest import Manifest
from trading_runtime.datasets.manifest_entries import DataFile, Gap, RowGroup
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.partitions import (
    MAX_WINDOWS,
    PartitionList,
    choose_series,
    partitions,
)
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.units import format_instant, parse_instant

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Rows = list[list[int]]
"""The instants of the rows, by row group."""


def file(rows: Rows, identifier: str = "A.SIM", kind: str = "trades") -> DataFile:
    return DataFile(
        path=f"data/{kind}/{identifier}/{rows[0][0]}.parquet",
        type=kind,
        identifier=identifier,
        instrument_id=identifier.partition("-")[0],
        bytes=1,
        sha256="0" * 64,
        footer_offset=1,
        footer_sha256="1" * 64,
        schema_sha256="2" * 64,
        rows=sum(len(group) for group in rows),
        row_groups=tuple(
            RowGroup(
                index=index,
                rows=len(group),
                offset=100 * index,
                bytes=10 * len(group),
                first=group[0],
                last=group[-1],
                sha256=f"{identifier}/{kind}/{group[0]}/{index}",
            )
            for index, group in enumerate(rows)
        ),
    )


def manifest(*files: DataFile, gaps: tuple[Gap, ...] = ()) -> Manifest:
    names = sorted({item.instrument_id for item in files})
    return Manifest(
        format=1,
        instruments=tuple({"id": name} for name in names),
        instrument_files=(),
        files=files,
        gaps=gaps,
    )


def cut(data: Manifest, dataset: dict[str, Any] | None = None, **settings: Any) -> PartitionList:
    chosen = choose_series(data, DatasetSettings.model_validate({"path": "data"} | (dataset or {})))
    return partitions(chosen, PartitionSettings.model_validate(settings))


def shown(found: PartitionList) -> list[tuple[str, str]]:
    return [(format_instant(item.start), format_instant(item.end)) for item in found.partitions]


def every_minute(start: str, count: int, size: int) -> Rows:
    first = parse_instant(start)
    instants = [first + index * MINUTE for index in range(count)]
    return [instants[index : index + size] for index in range(0, count, size)]


def test_the_whole_dataset_is_one_window_between_utc_midnights() -> None:
    data = manifest(file(every_minute("2022-01-03T10:00", 60 * 30, 600)))

    found = cut(data)

    assert shown(found) == [("2022-01-03T00:00:00Z", "2022-01-05T00:00:00Z")]
    (only,) = found.partitions
    assert only.warmup_start == only.start
    assert (only.rows_min, only.rows_max, only.bytes) == (1800, 1800, 18000)
    assert only.instruments == ("A.SIM",)
    assert len(only.row_groups) == 3


def test_a_last_row_at_midnight_belongs_to_the_day_that_it_opens() -> None:
    data = manifest(file([[parse_instant("2022-01-03T10:00"), parse_instant("2022-01-04")]]))

    assert shown(cut(data)) == [("2022-01-03T00:00:00Z", "2022-01-05T00:00:00Z")]


@pytest.mark.parametrize(
    ("settings", "first", "last", "count"),
    [
        ({"by": "hour"}, ("2022-01-01T00", "2022-01-01T01"), ("2022-02-14T23", "2022-02-15"), 1080),
        # 18,993 days lie between 1970-01-01 and 2022-01-01, a multiple of three.
        ({"by": "day", "count": 3}, ("2022-01-01", "2022-01-04"), ("2022-02-12", "2022-02-15"), 15),
        # 2022-01-01 was a Saturday: its ISO week began on Monday, 2021-12-27.
        ({"by": "week"}, ("2021-12-27", "2022-01-03"), ("2022-02-14", "2022-02-21"), 8),
        ({"by": "month"}, ("2022-01-01", "2022-02-01"), ("2022-02-01", "2022-03-01"), 2),
        (
            {"by": "month", "count": 3},
            ("2022-01-01", "2022-04-01"),
            ("2022-01-01", "2022-04-01"),
            1,
        ),
        (
            {"by": "duration", "length": "12h"},
            ("2022-01-01T00", "2022-01-01T12"),
            ("2022-02-14T12", "2022-02-15"),
            90,
        ),
    ],
)
def test_calendar_windows_are_whole_and_in_utc(
    settings: dict[str, Any], first: tuple[str, str], last: tuple[str, str], count: int
) -> None:
    data = manifest(file(every_minute("2022-01-01", 45 * 1440, 1440)))

    found = cut(data, **settings).partitions

    assert len(found) == count
    assert (found[0].start, found[0].end) == tuple(parse_instant(text) for text in first)
    assert (found[-1].start, found[-1].end) == tuple(parse_instant(text) for text in last)
    assert all(one.end == two.start for one, two in itertools.pairwise(found))


def test_weeks_are_counted_from_the_monday_before_the_epoch() -> None:
    data = manifest(file(every_minute("1970-01-01", 15 * 1440, 1440)))

    assert shown(cut(data, by="week", count=2)) == [
        ("1969-12-29T00:00:00Z", "1970-01-12T00:00:00Z"),
        ("1970-01-12T00:00:00Z", "1970-01-26T00:00:00Z"),
    ]


def test_appended_data_changes_no_earlier_window() -> None:
    before = file(every_minute("2022-01-01", 3 * 1440, 1440))
    after = file(every_minute("2022-01-04", 2 * 1440, 1440))

    for chosen in ({"by": "day"}, {"by": "week"}, {"by": "rows", "count": 1000}):
        few = cut(manifest(before), **chosen).partitions
        more = cut(manifest(before, after), **chosen).partitions
        assert more[: len(few) - 1] == few[:-1]


def test_start_and_end_clip_windows_but_not_the_warmup() -> None:
    data = manifest(file(every_minute("2022-01-01", 10 * 1440, 1440)))

    found = cut(
        data, by="day", warmup="12h", start="2022-01-03T06:00", end="2022-01-04T18:00"
    ).partitions

    assert [(item.start, item.end) for item in found] == [
        (parse_instant("2022-01-03T06:00"), parse_instant("2022-01-04")),
        (parse_instant("2022-01-04"), parse_instant("2022-01-04T18:00")),
    ]
    assert [format_instant(item.warmup_start) for item in found] == [
        "2022-01-02T18:00:00Z",
        "2022-01-03T12:00:00Z",
    ]
    assert [len(item.row_groups) for item in found] == [2, 2]


def test_the_whole_is_clipped_to_start_and_end_too() -> None:
    data = manifest(file(every_minute("2022-01-01", 10 * 1440, 1440)))

    assert shown(cut(data, start="2022-01-03T06:00")) == [
        ("2022-01-03T06:00:00Z", "2022-01-11T00:00:00Z")
    ]
    assert shown(cut(data, end="2022-01-03T06:00")) == [
        ("2022-01-01T00:00:00Z", "2022-01-03T06:00:00Z")
    ]


def test_windows_without_rows_are_listed_not_planned() -> None:
    friday, monday = every_minute("2022-01-07", 1440, 1440), every_minute("2022-01-10", 1440, 1440)

    found = cut(manifest(file(friday), file(monday)), by="day")

    assert [format_instant(item.start)[:10] for item in found.partitions] == [
        "2022-01-07",
        "2022-01-10",
    ]
    assert [format_instant(item.start)[:10] for item in found.empty] == ["2022-01-08", "2022-01-09"]
    assert found.empty[0].instruments == ("A.SIM",)


def test_a_gap_that_the_manifest_knows_makes_a_window_empty_within_a_row_group() -> None:
    friday, monday = parse_instant("2022-01-07T22:00"), parse_instant("2022-01-10T01:00")
    rows = file([[friday - HOUR, friday, monday, monday + HOUR]])

    unknown = cut(manifest(rows), by="day")
    known = cut(
        manifest(rows, gaps=(Gap(identifier="A.SIM", after=friday, before=monday),)), by="day"
    )

    assert [(item.rows_min, item.rows_max) for item in unknown.partitions] == [
        (1, 3),
        (0, 2),
        (0, 2),
        (1, 3),
    ]
    assert [format_instant(item.start)[:10] for item in known.empty] == ["2022-01-08", "2022-01-09"]
    assert len(known.partitions) == 2


def test_rows_are_bounded_from_the_row_groups_inside_and_at_the_edges() -> None:
    data = manifest(file(every_minute("2022-01-01", 2 * 1440, 1000)))

    first, second = cut(data, by="day").partitions

    # Row groups of rows 0-999, 1000-1999 and 2000-2879; the day ends before row 1440.
    assert (first.rows_min, first.rows_max) == (1001, 1999)
    assert (second.rows_min, second.rows_max) == (881, 1879)


def test_a_warmup_that_the_data_cannot_fill_is_short_and_a_later_gap_is_not() -> None:
    bars = every_minute("2022-01-01T00:01", 1440, 1440)
    later = every_minute("2022-01-05T00:01", 1440, 1440)

    found = cut(manifest(file(bars), file(later)), by="day", warmup="1d").partitions

    assert [(format_instant(item.start)[:10], item.warmup_short) for item in found] == [
        ("2022-01-01", True),
        ("2022-01-02", False),  # the bar that closes at midnight; its warm-up is there in full
        ("2022-01-05", False),
        ("2022-01-06", False),
    ]
    assert not any(item.warmup_short for item in cut(manifest(file(bars)), by="day").partitions)


def test_a_warmup_is_data_of_the_window_but_not_among_its_rows() -> None:
    data = manifest(file(every_minute("2022-01-01", 3 * 1440, 1440)))

    second = cut(data, by="day", warmup="1d").partitions[1]

    assert (second.rows_min, second.rows_max) == (1440, 1440)
    assert [group.rows for _, group in second.row_groups] == [1440, 1440]
    assert second.bytes == 2 * 14400


def test_instruments_together_share_a_window_and_each_has_its_own() -> None:
    data = manifest(
        file(every_minute("2022-01-01", 2 * 1440, 1440), "B.SIM"),
        file(every_minute("2022-01-02", 2 * 1440, 1440), "A.SIM"),
    )

    together = cut(data, by="day").partitions
    each = cut(data, by="day", instruments="each").partitions

    assert [item.instruments for item in together] == [("A.SIM", "B.SIM")] * 3
    assert [(format_instant(item.start)[8:10], *item.instruments) for item in each] == [
        ("01", "B.SIM"),
        ("02", "A.SIM"),
        ("02", "B.SIM"),
        ("03", "A.SIM"),
    ]


def test_an_instrument_without_rows_in_the_range_is_listed_as_empty() -> None:
    data = manifest(
        file(every_minute("2022-01-01", 1440, 1440), "B.SIM"),
        file(every_minute("2022-01-02", 1440, 1440), "A.SIM"),
    )

    found = cut(data, by="day", start="2022-01-02", instruments="each")

    assert [item.instruments for item in found.partitions] == [("A.SIM",)]
    assert [item.instruments for item in found.empty] == [("B.SIM",)]


def test_row_groups_are_sorted_by_type_identifier_and_time() -> None:
    rows = every_minute("2022-01-01", 1440, 720)
    data = manifest(
        file(rows, "B.SIM", "trades"),
        file(rows, "A.SIM-1-MINUTE-LAST-EXTERNAL", "bars"),
        file(rows, "A.SIM", "trades"),
    )

    (only,) = cut(data).partitions

    assert [(item.type, item.identifier, group.first) for item, group in only.row_groups] == sorted(
        (item.type, item.identifier, group.first) for item, group in only.row_groups
    )
    assert len(only.row_groups) == 6


def test_types_and_instruments_choose_the_series() -> None:
    rows = every_minute("2022-01-01", 1440, 1440)
    data = manifest(
        file(rows, "A.SIM", "quotes"), file(rows, "A.SIM", "trades"), file(rows, "B.SIM", "quotes")
    )

    (only,) = cut(data, {"types": ["quotes"], "instruments": ["A.SIM"]}).partitions

    assert [item.path for item, _ in only.row_groups] == [data.files[0].path]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (
            {"instruments": ["BTCUSD-PERP.SIM"]},
            r"no instrument 'BTCUSD-PERP\.SIM'; did you mean 'BTCUSDT-PERP\.SIM'\?",
        ),
        ({"types": ["bars"]}, r"no type of data 'bars'; it has: quotes, trades"),
        (
            {"instruments": ["EUR.SIM"], "types": ["trades"]},
            r"no rows of type trades for EUR\.SIM",
        ),
    ],
)
def test_what_the_dataset_does_not_have_is_refused(dataset: dict[str, Any], words: str) -> None:
    rows = every_minute("2022-01-01", 10, 10)
    data = manifest(file(rows, "EUR.SIM", "quotes"), file(rows, "BTCUSDT_PERP.SIM", "trades"))
    data = data.model_copy(
        update={
            "files": (
                data.files[0],
                data.files[1].model_copy(update={"instrument_id": "BTCUSDT-PERP.SIM"}),
            ),
            "instruments": tuple(
                InstrumentDefinition.from_document({"id": name})
                for name in ("EUR.SIM", "BTCUSDT-PERP.SIM")
            ),
        }
    )

    with pytest.raises(UsageError, match=words):
        cut(data, dataset)


def test_a_range_outside_the_data_is_refused_with_the_data_s_own_range() -> None:
    data = manifest(file(every_minute("2022-01-01", 10, 10)))

    with pytest.raises(
        UsageError, match=r"partitions\.start: 2023-01-01 is after the last row; .*"
    ):
        cut(data, by="day", start="2023-01-01")
    with pytest.raises(UsageError, match=r"from 2022-01-01T00:00:00Z to 2022-01-01T00:09:00Z"):
        cut(data, by="day", end="2021-01-01")


def test_a_range_within_a_gap_is_refused() -> None:
    data = manifest(
        file(every_minute("2022-01-01", 10, 10)), file(every_minute("2022-01-09", 10, 10))
    )

    with pytest.raises(UsageError, match="no row is in any window from 2022-01-03"):
        cut(data, by="day", start="2022-01-03", end="2022-01-05")


def test_a_dataset_without_rows_is_a_data_error() -> None:
    with pytest.raises(DataError, match="no rows of market data"):
        cut(manifest())


def test_too_many_windows_are_refused_before_they_are_made() -> None:
    data = manifest(file(every_minute("2022-01-01", 1440, 1440)))

    with pytest.raises(UsageError, match=f"at most {MAX_WINDOWS:,} are accepted"):
        cut(data, by="duration", length="1ns")


def test_cuts_by_rows_and_bytes_fall_between_row_groups() -> None:
    data = manifest(file([[1, 2], [3, 4, 5], [6], [7, 8]]))

    by_rows = cut(data, by="rows", count=3).partitions
    by_bytes = cut(data, by="bytes", count=50).partitions

    assert [(item.start, item.end, item.rows_min) for item in by_rows] == [(1, 6, 5), (6, 9, 3)]
    assert [(item.start, item.end, item.bytes) for item in by_bytes] == [(1, 6, 50), (6, 9, 30)]


def test_rows_of_equal_time_are_never_cut_apart() -> None:
    data = manifest(file([[1, 2], [2, 2], [2, 3], [4]]))

    found = cut(data, by="rows", count=1).partitions

    assert [(item.start, item.end, item.rows_min) for item in found] == [(1, 4, 6), (4, 5, 1)]


def test_a_cut_falls_where_no_series_has_rows_on_both_sides_in_one_group() -> None:
    data = manifest(
        file([[1, 3], [5, 9], [10, 12]], "A.SIM"), file([[2, 4], [5, 8], [9, 11]], "B.SIM")
    )

    found = cut(data, by="rows", count=1).partitions

    # At 9 both series have a row; at 10 the group [9, 11] of B lies on both sides.
    assert [(item.start, item.end) for item in found] == [(1, 5), (5, 13)]


INSTANTS = st.lists(st.integers(0, 60), min_size=1, max_size=25).map(sorted)


@st.composite
def row_groups(draw: st.DrawFn) -> Rows:
    instants = draw(INSTANTS)
    cuts = sorted(draw(st.sets(st.integers(1, len(instants)), max_size=5)) | {len(instants)})
    starts = [0, *cuts[:-1]]
    return [instants[start:end] for start, end in zip(starts, cuts, strict=True)]


SETTINGS = st.sampled_from(
    [
        {"by": "duration", "length": "7ns"},
        {"by": "duration", "length": "1ns"},
        {"by": "rows", "count": 1},
        {"by": "rows", "count": 4},
        {"by": "bytes", "count": 60},
        {"by": "whole"},
        {"by": "hour"},
    ]
)


@given(
    series=st.lists(row_groups(), min_size=1, max_size=3),
    chosen=SETTINGS,
    warmup=st.sampled_from([None, "3ns", "20ns"]),
    instruments=st.sampled_from(["together", "each"]),
)
@settings(max_examples=300, deadline=None)
def test_every_row_lies_in_exactly_one_partition(
    series: list[Rows], chosen: dict[str, Any], warmup: str | None, instruments: str
) -> None:
    names = ["A.SIM", "B.SIM", "C.SIM"][: len(series)]
    data = manifest(*(file(rows, name) for rows, name in zip(series, names, strict=True)))

    found = cut(data, **chosen, warmup=warmup, instruments=instruments)

    for name, groups in zip(names, series, strict=True):
        own = [item for item in found.partitions if name in item.instruments]
        for instant in (instant for rows in groups for instant in rows):
            assert sum(item.start <= instant < item.end for item in own) == 1
    for item in found.partitions:
        own_files = [each for each in data.files if each.instrument_id in item.instruments]
        planned = {group.sha256 for _, group in item.row_groups}
        inside = 0
        for data_file in own_files:
            for group, rows in zip(
                data_file.row_groups, series[names.index(data_file.identifier)], strict=True
            ):
                inside += sum(item.start <= instant < item.end for instant in rows)
                if any(item.warmup_start <= instant < item.end for instant in rows):
                    assert group.sha256 in planned
        assert item.rows_min <= inside <= item.rows_max
        if chosen["by"] in {"rows", "bytes"}:
            assert item.rows_min == item.rows_max == inside


@given(
    series=st.lists(row_groups(), min_size=1, max_size=3),
    chosen=st.sampled_from([{"by": "rows", "count": 2}, {"by": "bytes", "count": 30}]),
)
def test_rows_of_one_instant_share_a_partition_whatever_series_they_are_of(
    series: list[Rows], chosen: dict[str, Any]
) -> None:
    names = ["A.SIM", "B.SIM", "C.SIM"][: len(series)]
    found = cut(
        manifest(*(file(rows, name) for rows, name in zip(series, names, strict=True))), **chosen
    ).partitions

    # Windows follow on each other without a gap, and each holds its first instant whole.
    assert all(one.end == two.start for one, two in itertools.pairwise(found))
    instants = sorted(instant for groups in series for rows in groups for instant in rows)
    counted = [sum(item.start <= instant < item.end for instant in instants) for item in found]
    assert counted == [item.rows_max for item in found]
    assert sum(counted) == len(instants)


@given(rows=row_groups(), size=st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_every_partition_by_rows_but_the_last_has_the_size_asked_for(rows: Rows, size: int) -> None:
    found = cut(manifest(file(rows)), by="rows", count=size).partitions

    assert all(item.rows_min >= size for item in found[:-1])


def test_ten_thousand_windows_over_ten_thousand_row_groups_are_quick() -> None:
    rows = [[index * HOUR, index * HOUR + MINUTE] for index in range(10_000)]
    data = manifest(file(rows), file(rows, "B.SIM"))

    started = time.process_time()
    found = cut(data, by="hour", warmup="1d")

    assert len(found.partitions) == 10_000
    assert time.process_time() - started < 3
