"""What pictures are made of: round values on scales, fades, a canvas that any text is safe on."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET

import pytest

from trading_runtime.report.pictures.canvas import (
    Canvas,
    colours_for,
    is_dark,
    shortened,
    text_width,
)
from trading_runtime.report.pictures.panel import AxisScale, thinned, ticks, time_ticks, widened
from trading_runtime.units import DAY, parse_instant

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "most", "shown"),
    [
        (0, 10, 6, [0, 2, 4, 6, 8, 10]),
        (-3.1, 4.9, 5, [-2, 0, 2, 4]),
        (99_100, 104_300, 6, [100_000, 101_000, 102_000, 103_000, 104_000]),
        (-0.05, 0, 4, [-0.04, -0.02, 0]),
        (0.0101, 0.0109, 5, [0.0102, 0.0104, 0.0106, 0.0108]),
        (-1e9, 1e9, 3, [-1e9, 0, 1e9]),
    ],
)
def test_an_axis_shows_round_values_within_its_bounds(
    low: float, high: float, most: int, shown: list[float]
) -> None:
    assert ticks(low, high, most) == pytest.approx(shown)


def test_ranks_are_whole_however_few_there_are() -> None:
    assert ticks(1, 3, 11, whole=True) == [1, 2, 3]
    assert ticks(1, 28, 11, whole=True) == [5, 10, 15, 20, 25]


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        ("2024-01-01", "2024-01-03", ["1 Jan 2024", "06:00", "12:00", "18:00", "2 Jan"]),
        ("2023-12-29", "2024-01-04", ["29 Dec 2023", "30 Dec", "31 Dec", "1 Jan 2024", "2 Jan"]),
        ("2024-01-01", "2024-03-01", ["1 Jan 2024", "8 Jan", "15 Jan", "22 Jan"]),
        ("2023-12-05", "2024-08-01", ["Jan 2024", "Feb 2024", "Mar 2024"]),
        ("2001-05-01", "2024-08-01", ["2005", "2010", "2015", "2020"]),
        ("2024-01-01T09:30:00Z", "2024-01-01T09:30:20Z", ["1 Jan 2024 09:30", "09:30:05"]),
    ],
)
def test_moments_are_round_and_dates_stand_where_they_change(
    start: str, end: str, texts: list[str]
) -> None:
    shown = time_ticks(parse_instant(start), parse_instant(end), 9)
    assert [text for _, text in shown][: len(texts)] == texts
    assert len(shown) <= 9
    assert all(parse_instant(start) <= moment <= parse_instant(end) for moment, _ in shown)


def test_steps_of_weeks_begin_on_mondays() -> None:
    shown = time_ticks(parse_instant("2024-01-01"), parse_instant("2024-03-01"), 9)
    assert {(moment // DAY + 3) % 7 for moment, _ in shown} == {0}


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-1e-9, -1e-9], [1e12, 1e12 + 1]])
def test_bounds_always_leave_room(values: list[float]) -> None:
    low, high = widened(values)
    assert low < min(values)
    assert high > max(values)
    assert AxisScale(low, high, 0, 100).place(high) == pytest.approx(100)
    assert ticks(low, high, 5)


def test_a_long_line_keeps_its_ends_and_extremes() -> None:
    values = [float(number % 7) for number in range(20_000)]
    values[12_345], values[54] = 99.0, -99.0
    kept = thinned(values, 100)
    assert {0, 54, 12_345, len(values) - 1} <= set(kept)
    assert len(kept) <= 400
    assert thinned(values[:50], 100) == list(range(50))


def test_colours_fade_from_red_by_way_of_pale_to_blue() -> None:
    both = colours_for([-2.0, 1.0])
    assert both.of(0) == "#f7f7f7"
    assert (both.of(-2), both.of(2)) == (both.colours[0], both.colours[-1])
    assert is_dark(both.of(-2))
    assert not is_dark(both.of(0))
    gains = colours_for([1.0, 3.0])
    assert is_dark(gains.of(3))
    assert not is_dark(gains.of(1))
    assert not is_dark(colours_for([-3.0, -1.0]).of(-1))
    assert colours_for([4.0, 4.0]).of(4)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("a\x00b\x1b", "a\\u0000b\\u001b"),
        ("\ud800", "\\ud800"),
        ("$x$", "$x$"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_any_text_makes_a_picture_that_can_be_read(text: str, shown: str) -> None:
    canvas = Canvas(20)
    canvas.text((0, 10), text)
    root = ET.fromstring(canvas.svg())  # noqa: S314 - written by ourselves a line above
    [written] = [element.text for element in root.iter(f"{_SVG}text")]
    assert written == shown


def test_long_texts_are_cut_to_their_room() -> None:
    assert shortened("fast", 100) == "fast"
    started = time.process_time()
    assert shortened("i" * 1_000_000, 100).endswith("…")
    assert time.process_time() - started < 0.1
    cut = shortened("a_very_long_name_of_a_mode", 60)
    assert cut.startswith("a_very")
    assert cut.endswith("\N{HORIZONTAL ELLIPSIS}")
    assert text_width(cut) <= 60
