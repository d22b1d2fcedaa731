"""Stored documents as typed records: damage is found where they are read, and named by its place.

A record is a frozen dataclass; its annotations are the form of the document. A named tuple is
a list with a value for each of its fields. ``read_as`` checks a parsed document and returns the
record, ``to_document`` returns the record as JSON content.
``read_record`` and ``parse_record`` start from a file, and from its bytes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from trading_runtime.errors import DataError
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field
    from pathlib import Path

    type _Reader = Callable[[Any, str], Any]


_BYTES_AT_ONCE = 1 << 17
"""Bytes of a list that are parsed at once."""


def read_as[T](record: type[T], content: object, place: str = "") -> T:
    """Return a parsed JSON document as a ``record``, checked as a whole.

    Keys that the record does not have are ignored: a later version may have written them. Raises
    ``ValueError`` naming the place that does not have the right form.
    """
    form: Any = record
    found: T = _reader(form)(content, place)
    return found


def read_record[T](path: Path, record: type[T], remedy: str) -> T | None:
    """Return the ``record`` in a file, ``None`` when there is no file.

    Raises ``DataError`` when it is damaged; ``remedy`` says what to do then.
    """
    content = read_json(path)
    if content is None:
        return None
    try:
        return read_as(record, content)
    except ValueError as error:
        raise DataError(f"{path}: damaged: {error}; {remedy}") from error


def parse_record[T](content: bytes, record: type[T]) -> T | None:
    """Return the ``record`` in the bytes of a file, ``None`` when they are damaged.

    For lists, in which a damaged run must not hide the others.
    """
    try:
        return read_as(record, json.loads(content))
    except (ValueError, RecursionError):
        return None


def parse_with_items(
    content: bytes, name: str, take: Callable[[list[Any]], None]
) -> dict[str, Any]:
    """Return the JSON object in ``content`` without its list ``name``, whose items ``take`` gets.

    They are parsed some at a time, so that no more of them are in memory: a text is cut where the
    parts on both sides are JSON, which a place inside a text or a bracket would not leave. Raises
    ``ValueError`` when that is not possible, as in what is no JSON: parse it as a whole then.
    """
    opening = f'"{name}":['.encode()
    at = content.find(opening)
    _must(at > 0, name, "missing")
    head = json.loads(content[:at] + b'"":0}')
    at += len(opening)
    while (cut := content.find(b"},{", at + _BYTES_AT_ONCE)) > 0:
        try:
            items = json.loads(b"[" + content[at : cut + 1] + b"]")
        except ValueError:
            break
        take(items)
        at = cut + len(b"},")
    rest = f"[{content[at:].decode()}"
    items, end = json.JSONDecoder().raw_decode(rest)
    take(items)
    tail = json.loads(f'{{"":0{rest[end:]}')
    _must(name not in head | tail, name, "stated twice")
    return {key: value for key, value in (head | tail).items() if key}


def to_document(record: Any) -> dict[str, Any]:
    """Return a record as JSON content; an optional field that is ``None`` is left out."""
    return {
        field.name: _plain(value)
        for field in fields(record)
        if (value := getattr(record, field.name)) is not None or field.default is not None
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_document(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _reader(form: Any) -> _Reader:
    """Return the function that checks a value of this type and returns it."""
    origin, inner = get_origin(form), get_args(form)
    if origin is UnionType:
        return _union_reader(inner)
    if origin is not None:
        if issubclass(origin, Mapping):
            if inner[1] is Any:
                return _read_object
            return functools.partial(_read_mapping, _reader(inner[1]))
        return functools.partial(_read_items, _reader(inner[0]))
    return _class_reader(form)


def _class_reader(form: Any) -> _Reader:
    if is_dataclass(form):
        return _record_reader(form)
    if issubclass(form, tuple):
        readers = tuple(map(_reader, get_type_hints(form).values()))
        return functools.partial(_read_row, form, readers)
    if issubclass(form, Enum):
        return functools.partial(_read_member, form)
    plain = (object if form is Any else form,)
    return _read_number if form is Decimal else functools.partial(_read_plain, plain)


def _record_reader(record: Any) -> _Reader:
    hints = get_type_hints(record)
    parts = [
        (field.name, _reader(hints[field.name]), _is_optional(field)) for field in fields(record)
    ]

    def read(value: Any, place: str) -> Any:
        _must(isinstance(value, dict), place, "no mapping")
        found = {}
        for name, reader, is_optional in parts:
            at = f"{place}.{name}" if place else name
            if name in value:
                found[name] = reader(value[name], at)
            else:
                _must(is_optional, at, "missing")
        return record(**found)

    return read


def _is_optional(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _union_reader(forms: tuple[Any, ...]) -> _Reader:
    others = tuple(form for form in forms if form is not NoneType)
    if len(others) == 1:
        reader = _reader(others[0])
        return lambda value, place: None if value is None else reader(value, place)
    return functools.partial(_read_plain, forms)


def _read_object(value: Any, place: str) -> dict[str, Any]:
    """Return a mapping of anything as it is: a copy for each of thousands of definitions costs."""
    _must(isinstance(value, dict), place, "no mapping")
    found: dict[str, Any] = value
    return found


def _read_mapping(reader: _Reader, value: Any, place: str) -> dict[str, Any]:
    _must(isinstance(value, dict), place, "no mapping")
    return {key: reader(item, f"{place}.{key}") for key, item in value.items()}


def _read_items(reader: _Reader, value: Any, place: str) -> tuple[Any, ...]:
    _must(isinstance(value, list), place, "no list")
    return tuple(reader(item, f"{place}[{number}]") for number, item in enumerate(value))


def _read_row(row: Any, readers: tuple[_Reader, ...], value: Any, place: str) -> Any:
    _must(isinstance(value, list), place, "no list")
    _must(len(value) == len(readers), place, f"no list of {len(readers)}")
    pairs = zip(readers, value, strict=True)
    return row(*(reader(item, f"{place}[{number}]") for number, (reader, item) in enumerate(pairs)))


def _read_member(members: type[Enum], value: Any, place: str) -> Enum:
    try:
        return members(value)
    except ValueError:
        _must(isinstance(value, str), place, "of the wrong type")
        accepted = ", ".join(str(item.value) for item in members)
        raise ValueError(f"{place} is {value[:80]!r}; accepted are {accepted}") from None


def _read_number(value: Any, place: str) -> Decimal:
    """Return the exact number that canonical JSON writes as a text."""
    try:
        found = Decimal(value if isinstance(value, str) else "")
    except InvalidOperation:
        found = Decimal("NaN")
    _must(found.is_finite(), place, "no number in a text")
    return found


def _read_plain(forms: tuple[type, ...], value: Any, place: str) -> Any:
    accepted = (*forms, int) if float in forms else forms
    # Python counts True and False among the integers, JSON does not.
    is_other = isinstance(value, bool) and forms[0] is not object and bool not in forms
    _must(isinstance(value, accepted) and not is_other, place, "of the wrong type")
    return value


type Form = type | tuple[type, ...] | dict[str, Any] | list[Any]
"""A type, or several; a mapping with at least these keys; or a list with items of one form."""


def check_form(value: Any, form: Form, place: str = "") -> None:
    """Raise ``ValueError`` naming the place in ``value`` that does not match the ``form``."""
    if isinstance(form, dict):
        _must(isinstance(value, dict), place, "no mapping")
        for key, inner in form.items():
            at = f"{place}.{key}" if place else key
            _must(key in value, at, "missing")
            check_form(value[key], inner, at)
    elif isinstance(form, list):
        _must(isinstance(value, list), place, "no list")
        for number, item in enumerate(value):
            check_form(item, form[0], f"{place}[{number}]")
    else:
        _must(isinstance(value, form), place, "of the wrong type")


def _must(holds: bool, place: str, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise ValueError(f"{place or 'the document'} is {what}")
