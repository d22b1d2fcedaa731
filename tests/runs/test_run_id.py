"""A run id is a safe folder name, checked before any path is built from it."""

from __future__ import annotations

import datetime as dt

import pytest

from trading_runtime.errors import UsageError
from trading_runtime.runs.opening import check_run_id, new_run_id

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("text", ["a", "7", "a.b-c", "0" * 63, "x" * 62 + "9"])
def test_letters_digits_dots_and_hyphens_are_accepted(text: str) -> None:
    assert check_run_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "A", "../x", "a/b", ".a", "a.", "-", "a b", "a\n", "ä", "x" * 64, "a_b", "a\x00"]
)
def test_anything_else_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match="accepted are 1 to 63 lower-case letters"):
        check_run_id(text)


def test_a_new_id_is_made_from_name_and_time_in_utc() -> None:
    tokyo = NOON.astimezone(dt.timezone(dt.timedelta(hours=9)))

    assert new_run_id("ema", NOON, set()) == "ema-20240301t120000"
    assert new_run_id("ema", tokyo, set()) == "ema-20240301t120000"


def test_a_new_id_is_one_that_no_run_has() -> None:
    taken = {"ema-20240301t120000", "ema-20240301t120000-2"}

    assert new_run_id("ema", NOON, taken) == "ema-20240301t120000-3"
