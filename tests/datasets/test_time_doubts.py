"""Times that read without a fault and are misread all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime.datasets.time_formats import exchanged_pattern
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.datasets.conftest import Prepare

DAYS_CLOSE: dict[str, Any] = {"bar": "1-DAY-LAST", "timestamp_marks": "close"}


def bars(times: Iterable[str]) -> str:
    header = "timestamp,open,high,low,close,volume\n"
    return header + "".join(f"{time},100,101,99,100,5\n" for time in times)


def trades(times: Iterable[str]) -> str:
    return "timestamp,price,size\n" + "".join(f"{time},100,1\n" for time in times)


def days(numbers: Iterable[int], text: str = "2024-01-{:02d} 00:00:00") -> list[str]:
    return [text.format(number) for number in numbers]


MONTH_FIRST: dict[str, Any] = {"timestamp_format": "%m/%d/%Y %H:%M"}
DAY_FIRST: dict[str, Any] = {"timestamp_format": "%d/%m/%Y %H:%M"}
TWELVE = days(range(1, 13), "{:02d}/03/2024 09:30")
"""The first twelve days of March, day first."""


def test_days_read_as_months_are_refused_with_the_pattern_that_fits(
    prepare_files: Prepare,
) -> None:
    with pytest.raises(DataError) as refusal:
        prepare_files("trades", {"a.csv": trades(TWELVE)}, **MONTH_FIRST)

    assert str(refusal.value).endswith(
        "a.csv: the dates span 335 days as '%m/%d/%Y %H:%M', and 11 with day and month exchanged; "
        "set 'timestamp_format' to '%d/%m/%Y %H:%M', or set 'unusual_times: accept'"
    )


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_times_with_and_without_an_offset_are_not_mixed(
    zone: str, prepare_files: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading_runtime.datasets.raw_files.BLOCK_BYTES", 40)
    aware = ["2024-01-01T12:00:00Z", "2024-01-01T13:01:00+01:00"]
    naive = ["2024-01-01T14:02:00", "2024-01-01 14:03"]
    apart: dict[str, str | bytes] = {"a.csv": trades(aware), "b.csv": trades(naive)}
    mixed: dict[str, str | bytes] = {"a.csv": trades(aware + naive)}

    with pytest.raises(DataError) as refusal:
        prepare_files("trades", mixed, time_zone=zone)

    assert str(refusal.value).endswith(
        "a.csv: some times have an offset from UTC ('2024-01-01T12:00:00Z') and others none "
        f"('2024-01-01T14:02:00'), which are read in {zone}; write all in one way, or set "
        "'unusual_times: accept'"
    )
    accepted = prepare_files("trades", mixed, time_zone=zone, unusual_times="accept")
    assert accepted.manifest.rows == 4
    assert prepare_files("trades", apart, time_zone=zone, force=True).manifest.rows == 4


def test_days_in_several_files_are_looked_at_together(prepare_files: Prepare) -> None:
    files = {f"{number}.csv": trades([text]) for number, text in enumerate(TWELVE)}

    with pytest.raises(DataError, match="with day and month exchanged"):
        prepare_files("trades", dict(files), **MONTH_FIRST)


@pytest.mark.parametrize(
    ("times", "settings"),
    [
        (TWELVE, DAY_FIRST),
        (TWELVE, MONTH_FIRST | {"unusual_times": "accept"}),
        # Months on their first day, as few as they are: read the other way, they are days.
        (days(range(1, 13), "01/{:02d}/2024 09:30"), MONTH_FIRST),
        # A single day reads both ways, and nothing speaks for either.
        (["02/03/2024 09:30", "02/03/2024 09:31"], MONTH_FIRST),
        # A day after the twelfth settles it, also for a file that has none.
        (days(range(1, 14), "03/{:02d}/2024 09:30"), MONTH_FIRST),
        (days(range(1, 13), "2024-{:02d}-01 09:30"), {"timestamp_format": "%Y-%m-%d %H:%M"}),
    ],
)
def test_dates_that_are_read_as_they_are_meant_are_accepted(
    prepare_files: Prepare, times: list[str], settings: dict[str, Any]
) -> None:
    prepare_files("trades", {"a.csv": trades(times)}, **settings)


@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%d.%m.%y", "%m.%d.%y"),
        ("%D %T", "%d/%m/%y %T"),
        ("%d%m%Y", "%m%d%Y"),
        ("%e/%m/%Y", "%m/%e/%Y"),
        ("%Y-%m-%d", None),
        ("%d %b %Y", None),
        ("%F %R", None),
        ("iso", None),
        ("ms", None),
    ],
)
def test_only_patterns_that_begin_with_day_or_month_can_be_exchanged(
    pattern: str, other: str | None
) -> None:
    assert exchanged_pattern(pattern) == other


@pytest.mark.parametrize(
    ("times", "settings"),
    [
        (days([1, 2, 3, 4, 5, 8, 9, 10]), {}),
        (days([1, 2, 3, 4, 5, 8], "1/{}/2024 00:00"), MONTH_FIRST),
        (
            [str(1_704_067_200 + 86_400 * day) for day in (0, 1, 2, 3, 4, 7)],
            {"timestamp_format": "s"},
        ),
    ],
)
def test_closes_at_midnight_on_mondays_and_never_on_saturdays_are_the_dates_of_days(
    prepare_files: Prepare, times: list[str], settings: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match="seen as their days begin; set 'timestamp_marks: open'"):
        prepare_files("bars", {"a.csv": bars(times)}, **DAYS_CLOSE, **settings)


@pytest.mark.parametrize(
    ("times", "settings"),
    [
        # Monday to Friday, each closed by the midnight that ends it; then a market of every day.
        (days([2, 3, 4, 5, 6, 9, 10, 11, 12, 13]), {}),
        (days(range(1, 15)), {}),
        (days([1, 2, 3, 4, 5, 8], "2024-01-{:02d} 16:00:00"), {}),
        (days([1, 2, 3, 4, 5, 8, 9, 10]), {"timestamp_marks": "open"}),
        (days([1, 2, 3, 4, 5, 8, 9, 10]), {"unusual_times": "accept"}),
    ],
)
def test_closes_that_may_be_closes_are_accepted(
    prepare_files: Prepare, times: list[str], settings: dict[str, Any]
) -> None:
    prepare_files("bars", {"a.csv": bars(times)}, **{**DAYS_CLOSE, **settings})


HOURS = [f"2024-01-02T{hour:02d}:00" for hour in range(12)]


@pytest.mark.parametrize("times", [HOURS, HOURS[::-1]])
def test_bars_that_are_never_as_near_as_their_length_are_refused(
    prepare_files: Prepare, times: list[str]
) -> None:
    with pytest.raises(DataError, match="are less than 1h apart, but 'bar' says 1-MINUTE-LAST"):
        prepare_files("bars", {"a.csv": bars(times)}, timestamp_marks="open", sort=True)


def test_a_file_of_longer_bars_among_shorter_ones_is_refused(prepare_files: Prepare) -> None:
    minutes = [f"2024-01-01 00:{minute:02}:00" for minute in range(60)]
    hours = [f"2024-01-02 {hour:02}:00:00" for hour in range(24)]
    raw: dict[str, str | bytes] = {"1m.csv": bars(minutes), "1h.csv": bars(hours)}

    with pytest.raises(DataError, match=r"1h\.csv: no two bars are less than 1h apart, but 'bar'"):
        prepare_files("bars", raw)
    assert prepare_files("bars", raw, unusual_times="accept").manifest.rows == 84
    # Seldom trades make bars at any minute.
    raw["1h.csv"] = bars(time.replace("05:00:00", "05:07:00") for time in hours)
    assert prepare_files("bars", raw, force=True).manifest.rows == 84


def test_bars_that_miss_most_minutes_are_accepted(prepare_files: Prepare) -> None:
    prepare_files("bars", {"a.csv": bars([*HOURS, "2024-01-02T11:01"])})
    prepare_files("bars", {"a.csv": bars(HOURS)}, unusual_times="accept", force=True)


@pytest.mark.parametrize(
    ("form", "times"),
    [
        ("epoch", (28_401_120, 28_401_121)),  # minutes since 1970
        ("s", (28_401_120, 28_401_180)),
        ("epoch", (202401020930, 202401020931)),  # a date in digits, 1976 in milliseconds
        ("epoch", (20240102093000, 20240102093100)),
        ("epoch", (638396640000000000, 638396640600000000)),  # .NET's ticks of 100 ns since year 1
    ],
)
def test_numbers_that_count_another_unit_are_refused(
    form: str, times: tuple[int, int], prepare_files: Prepare
) -> None:
    rows = "".join(f"{time},10,11,9,10,1\n" for time in times)
    raw: dict[str, str | bytes] = {"a.csv": f"timestamp,open,high,low,close,volume\n{rows}"}

    with pytest.raises(DataError, match=rf"a.csv:2: .* read as {form} is outside 1993-01-01 to"):
        prepare_files("bars", raw, timestamp_format=form, bar="1-SECOND-LAST")


def test_days_of_the_seventies_may_be_numbers(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {
        "a.csv": "timestamp,open,high,low,close,volume\n31622400,10,11,9,10,1\n"
    }
    made = prepare_files("bars", raw, timestamp_format="s", bar="1-DAY-LAST")
    assert made.manifest.rows == 1


def test_closes_of_sessions_of_the_seventies_may_be_numbers(prepare_files: Prepare) -> None:
    raw: dict[str, str | bytes] = {"a.csv": "timestamp,price\n31683600,10\n31770000,11\n"}
    made = prepare_files("instrument_closes", raw, timestamp_format="s")
    assert made.manifest.rows == 2
