"""Text of others is shown as what it is, and steers nothing."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_runtime.text import (
    abridged,
    for_line,
    for_records,
    for_spreadsheet,
    for_terminal,
    name_copy,
)

ANY = st.text(st.characters(exclude_categories=[]), max_size=40)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x1b]0;title\a", "\\u001b]0;title\\u0007"),
        ("a\0b", "a\\u0000b"),
        ("\x9b31m", "\\u009b31m"),
        ("\ud800", "\\ud800"),
        ("abc\u202ecba", "abc\\u202ecba"),
        ("one\r\x08two", "one\\r\\u0008two"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("two\nlines\tand ä, 中, 😀", "two\nlines\tand ä, 中, 😀"),
    ],
)
def test_what_steers_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert for_records(text) == shown
    assert for_terminal(text) == shown


@given(ANY)
def test_no_text_steers_anything_afterwards_and_a_second_time_changes_nothing(text: str) -> None:
    shown = for_records(text)

    assert not {ord(each) for each in shown} & {*range(9), *range(11, 32), *range(127, 160)}
    assert shown.encode().decode() == shown
    assert for_records(shown) == shown
    assert "\n" not in for_line(text)


@given(ANY)
def test_json_keeps_its_content(text: str) -> None:
    written = for_records(json.dumps({text: [text]}, ensure_ascii=False, indent=1))

    assert json.loads(written.encode()) == {text: [text]}


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A0", "+1+1", "-1-1", "@SUM(A1)", "\t=1", " =1", "\n=1", "\uff1d1", "-cmd"],
)
def test_no_cell_of_a_spreadsheet_is_a_formula(text: str) -> None:
    assert for_spreadsheet(text).startswith("'")


@pytest.mark.parametrize("text", ["-5", "+5.25", "-1e-7", "2024-01-01", "a=b", "", "-12.5%"])
def test_a_number_and_plain_text_stay_in_a_spreadsheet(text: str) -> None:
    assert for_spreadsheet(text) == text


def test_a_long_text_keeps_its_beginning_and_its_end_and_says_what_is_missing() -> None:
    shown = abridged(f"first {'word ' * 10_000}last", 100)

    assert shown.startswith("first word")
    assert shown.endswith(" last")
    assert "characters left out" in shown
    assert len(shown) < 200


def test_no_word_is_cut() -> None:
    shown = abridged("aa " * 500 + "secret-of-many-letters " * 50 + "zz " * 10, 1_000)

    assert set(shown.replace("…", " ").split()) <= {
        "aa", "zz", "secret-of-many-letters", "characters", "left", "out]",
        *(word for word in shown.split() if word.startswith("[")),
    }  # fmt: skip


def test_a_text_of_50_mb_costs_what_it_should() -> None:
    text = "5" * 50_000_000
    started = time.process_time()

    assert len(abridged(text, 4_000)) < 5_000
    assert time.process_time() - started < 0.5


def test_a_temporary_copy_is_named_as_the_place_it_was_copied_from() -> None:
    name_copy("/somewhere/copy-x1", "s3://bucket/results")

    for shown in (for_records, for_terminal, for_line):
        text = shown("/somewhere/copy-x1/runs/one: damaged")
        assert text == "s3://bucket/results/runs/one: damaged"
    assert for_records(json.dumps(["/somewhere/copy-x1"])) == '["s3://bucket/results"]'
