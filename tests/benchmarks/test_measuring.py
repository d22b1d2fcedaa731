"""Ratios, marks and the table of the benchmarks: their arithmetic, not their speed."""

from __future__ import annotations

import sys

import pytest

from benchmarks.bench import Mark, Row
from benchmarks.measuring import FailedProgramError, of_pairs, of_values, run, turn_by_turn
from benchmarks.table import HEADER, as_text, cells, update

PAGE = "# Title\n\n<!-- measured -->\n<!-- /measured -->\n\nEnd.\n"


def test_a_ratio_is_the_median_of_the_pairs_ratios_not_the_ratio_of_the_medians() -> None:
    measured = of_pairs([(1.0, 2.0), (4.0, 4.0), (9.0, 6.0)])

    # 0.5, 1 and 1.5; the medians of both sides are 4 and 4 as well, their ratio is not asked for.
    assert (measured.value, measured.low, measured.high) == (1.0, 0.5, 1.5)
    assert (measured.ours, measured.anchor, measured.repeats) == (4.0, 4.0, 3)


def test_how_many_times_as_fast_is_the_anchors_time_by_ours() -> None:
    measured = of_pairs([(2.0, 20.0), (2.0, 30.0), (4.0, 44.0)], faster=True)

    assert (measured.value, measured.low, measured.high) == (11.0, 10.0, 15.0)


def test_an_absolute_figure_has_no_anchor() -> None:
    measured = of_values([3.0, 1.0, 2.0])

    assert (measured.value, measured.anchor, measured.ours) == (2.0, None, 2.0)


def test_both_sides_run_turn_by_turn() -> None:
    ran: list[str] = []

    def take(side: str) -> float:
        ran.append(side)
        return float(len(ran))

    pairs = turn_by_turn(lambda: take("a"), lambda: take("b"), 2)

    assert ran == ["a", "b", "a", "b"]
    assert pairs == [(1.0, 2.0), (3.0, 4.0)]


@pytest.mark.parametrize(
    ("mark", "value", "reached"),
    [
        (Mark(1.1, "ratio"), 1.1, True),
        (Mark(1.1, "ratio"), 1.11, False),
        (Mark(10, "times", at_least=True), 10.0, True),
        (Mark(10, "times", at_least=True), 9.99, False),
    ],
)
def test_a_mark_is_reached_on_its_own_side_and_at_the_bound(
    mark: Mark, value: float, *, reached: bool
) -> None:
    assert mark.reached(value) is reached


def test_a_line_states_both_sides_the_ratio_the_mark_and_whether_it_was_reached() -> None:
    line = cells(Row("a task", Mark(1.1, "ratio"), of_pairs([(1.2, 1.0), (1.3, 1.0), (2.4, 2.0)])))

    assert line == ("a task", "1.30 s", "1 s", "1.20", "<= 1.10", "**no**", "1.20 to 1.30, 3")


def test_memory_is_stated_in_megabytes_and_without_a_ratio() -> None:
    line = cells(Row("a worker", Mark(400, "MB"), of_values([366.4])))

    assert line == ("a worker", "366 MB", "", "", "<= 400 MB", "yes", "1")


def test_a_table_for_a_terminal_has_its_columns_in_line() -> None:
    lines = as_text([("a", "1 s", "2 s", "0.500", "<= 1", "yes", "1")]).splitlines()

    assert [line.index("must reach" if at == 0 else "<= 1") for at, line in enumerate(lines)] == [
        lines[0].index("must reach")
    ] * 2


def test_a_page_keeps_the_lines_of_figures_that_were_not_measured_again() -> None:
    first = ("a", "1 s", "2 s", "0.500", "<= 1", "yes", "1")
    second = ("b", "3 s", "", "", "<= 5 s", "yes", "1")
    again = ("a", "4 s", "2 s", "2", "<= 1", "**no**", "1")

    page = update(update(PAGE, [first, second], "two cores"), [again], "one core")

    assert page.splitlines()[2:12] == [
        "<!-- measured -->",
        "",
        "Machine: one core.",
        "",
        f"| {' | '.join(HEADER)} |",
        f"| {' | '.join(['---'] * len(HEADER))} |",
        f"| {' | '.join(again)} |",
        f"| {' | '.join(second)} |",
        "",
        "<!-- /measured -->",
    ]
    assert page.endswith("\n\nEnd.\n")


def test_a_page_without_a_place_for_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="measured"):
        update("# Title\n", [], "two cores")


def test_a_programs_memory_and_output_are_measured() -> None:
    code = "import time; held = bytearray(80_000_000); print('done'); time.sleep(0.3)"

    finished = run([sys.executable, "-c", code])

    assert finished.output == "done\n"
    assert 0.3 <= finished.seconds < 30
    assert 80e6 < finished.peak("bytearray") < 400e6


def test_a_program_that_fails_says_what_it_said_last() -> None:
    with pytest.raises(FailedProgramError, match=r"(?s)exit code 3.*no luck"):
        run([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])
