"""A document is checked as a whole where it is read, and damage is named by its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - read from the annotations
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import pytest

from trading_runtime.records.forms import read_as, to_document


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A record inside another."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A record with a field of each kind."""

    colour: Colour
    parts: Sequence[Part]
    named: Mapping[str, Part]
    share: float
    value: str | int | None
    anything: Any
    flag: bool
    note: str | None = None
    last: str | None


SOUND: dict[str, Any] = {
    "colour": "blue",
    "parts": [{"number": 1}, {"number": 2}],
    "named": {"x": {"number": 3}},
    "share": 1,
    "value": "v",
    "anything": [1, {"deep": None}],
    "flag": True,
    "last": None,
}


def test_a_sound_document_becomes_typed_objects() -> None:
    whole = read_as(Whole, SOUND)

    assert whole.colour is Colour.BLUE
    assert whole.parts == (Part(number=1), Part(number=2))
    assert whole.named["x"].number == 3
    assert (whole.note, whole.last) == (None, None)


def test_a_record_is_written_as_it_was_read() -> None:
    """An optional field without a value is left out, a required one is written as null."""
    document = to_document(read_as(Whole, SOUND))

    assert document == SOUND
    assert list(document) == list(SOUND)


def test_keys_of_a_later_version_are_ignored() -> None:
    assert read_as(Whole, SOUND | {"later": 1}) == read_as(Whole, SOUND)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": [{"number": 1}, {}]}, "parts[1].number is missing"),
        ({"parts": {}}, "parts is no list"),
        ({"named": []}, "named is no mapping"),
        ({"named": {"x": {"number": "3"}}}, "named.x.number is of the wrong type"),
        ({"parts": [{"number": True}]}, "parts[0].number is of the wrong type"),
        ({"colour": "green"}, "colour is 'green'; accepted are red, blue"),
        ({"colour": 3}, "colour is of the wrong type"),
        ({"share": "1"}, "share is of the wrong type"),
        ({"value": 1.5}, "value is of the wrong type"),
        ({"flag": 1}, "flag is of the wrong type"),
        ({"note": 1}, "note is of the wrong type"),
    ],
)
def test_damage_is_named_by_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="is ") as refused:
        read_as(Whole, SOUND | change)

    assert str(refused.value) == message


class Row(NamedTuple):
    """A list with a value for each field."""

    name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """A record of rows."""

    rows: Sequence[Row]


def test_a_named_tuple_is_a_list_with_a_value_for_each_field() -> None:
    document = {"rows": [["a", [1, 2]], ["b", []]]}
    rows = read_as(Rows, document)

    assert rows.rows == (Row("a", (1, 2)), Row("b", ()))
    assert to_document(rows) == document


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "a"}, "rows[0] is no list"),
        (["a"], "rows[0] is no list of 2"),
        (["a", [1], 3], "rows[0] is no list of 2"),
        (["a", ["1"]], "rows[0][1][0] is of the wrong type"),
    ],
)
def test_damage_in_a_row_is_named_by_its_place(row: object, message: str) -> None:
    with pytest.raises(ValueError, match="is ") as refused:
        read_as(Rows, {"rows": [row]})

    assert str(refused.value) == message


@pytest.mark.parametrize("content", [None, [], "x", 3])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="the document is no mapping"):
        read_as(Whole, content)
