"""Documents: values with their places, from JSON and YAML alike."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_runtime.config.document import DocumentError, parse_json
from trading_runtime.config.yaml_document import read_yaml

JSON = """\
{
  "name": "x",
\t"list": [1, -2.50, 1e3, true, null, "a\\u00e9\\"\\\\"],
  "map": {"in": {"deep": []}}
}
"""


def test_json_values_are_exact_and_have_their_places() -> None:
    document = parse_json(JSON)

    assert document.plain() == {
        "name": "x",
        "list": [1, Decimal("-2.50"), Decimal(1000), True, None, 'aé"\\'],
        "map": {"in": {"deep": []}},
    }
    assert (document.line, document.column) == (1, 1)
    assert document.place(["name"]) == (2, 11)
    assert document.place(["name"], of_key=True) == (2, 3)
    assert document.place(["list", 1]) == (3, 14)
    assert document.place(["map", "in", "deep"]) == (4, 26)


def test_the_place_of_what_is_not_there_is_that_of_what_would_hold_it() -> None:
    document = parse_json(JSON)

    assert document.place(["map", "out"]) == (4, 10)
    assert document.place(["list", 9]) == (3, 10)
    assert document.place(["name", "first"]) == (2, 11)


def test_yaml_scalars_follow_the_core_schema_of_yaml_1_2() -> None:
    text = (
        "[yes, no, on, off, true, False, null, ~, 012, 1_000, 0x1f, 1.5, .5, 1e-3, '1', 12:30:00]"
    )

    assert read_yaml(text).plain() == [
        "yes",
        "no",
        "on",
        "off",
        True,
        False,
        None,
        None,
        12,
        "1_000",
        "0x1f",
        Decimal("1.5"),
        Decimal("0.5"),
        Decimal("0.001"),
        "1",
        "12:30:00",
    ]


def test_yaml_places_are_those_of_keys_and_values() -> None:
    document = read_yaml("a: 1\nb:\n  - x\n  - {c: [2]}\n")

    assert document.place(["a"]) == (1, 4)
    assert document.place(["b", 1, "c", 0]) == (4, 10)
    assert document.place(["b", 1, "c"], of_key=True) == (4, 6)


def test_yaml_keys_are_texts_whatever_they_look_like() -> None:
    assert read_yaml("{1: a, true: b, null: c, 2022-01-01: d}").plain() == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2022-01-01": "d",
    }


def test_blocks_of_text_are_kept() -> None:
    assert read_yaml("notes: |\n  one\n  two\n").plain() == {"notes": "one\ntwo\n"}


def test_all_problems_are_found_in_one_reading() -> None:
    with pytest.raises(DocumentError) as failure:
        parse_json('{"a": NaN, "a": 1,\n "b": -Infinity, "c": 1e99}')

    assert [(item.line, item.column) for item in failure.value.problems] == [
        (1, 7),
        (1, 12),
        (2, 7),
        (2, 23),
    ]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(value=JSON_VALUES, indent=st.sampled_from([None, 1, "\t"]), ascii_only=st.booleans())
def test_json_reads_back_what_was_written(
    value: Any, indent: int | str | None, *, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if "\\u0000" in text:
        return

    assert parse_json(text).plain() == value


@given(text=st.text(alphabet="{}[]:,\"'-&*!|>#%@` ab\n\t1.~?", max_size=40))
def test_any_text_is_a_document_or_a_document_error(text: str) -> None:
    for read in (parse_json, read_yaml):
        try:
            read(text).plain()
        except DocumentError as error:
            assert error.problems  # noqa: PT017
