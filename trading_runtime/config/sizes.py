"""Amounts of memory: bytes as a whole number, or a text with a unit such as ``2 GiB``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")
_LEAST = 256 * 2**20
_LEAST_OF_A_PROCESS = 2**20
_MOST = 2**50


def parse_size(value: int | str) -> int:
    """Return the bytes of ``value``: ``"2 GiB"`` is 2,147,483,648.

    Raises ``ValueError`` when it is a text without one of the known units.
    """
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value)
    if match is None or match[2] not in _UNITS:
        raise ValueError(_refusal(repr(value)))
    return int(Decimal(match[1]) * _UNITS[match[2]])


def _refusal(found: str) -> str:
    return (
        f"{found} is not an amount of memory; write bytes as a whole number, or a text such as "
        f"'2 GiB' or '500 MB' (units: {', '.join(_UNITS)})"
    )


def _check_memory(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(_refusal(str(value)))  # noqa: TRY004 - pydantic takes these
    size = parse_size(value)
    if size < _LEAST_OF_A_PROCESS:
        raise ValueError(f"{value!r} is too little for a process; write 1 MiB or more")
    if size > _MOST:
        raise ValueError(f"{value!r} is more than any machine has")
    return value


def _check_task_memory(value: Any) -> int | str:
    if not isinstance(value, bool) and isinstance(value, (int, str)) and parse_size(value) < _LEAST:
        raise ValueError(
            f"{value!r} is too little: the engine alone takes nearly as much; write 256 MiB or more"
        )
    return _check_memory(value)


def _schema(least: int) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": least, "maximum": _MOST},
                {"type": "string", "pattern": rf"^[0-9]+(\.[0-9]+)? ?({'|'.join(_UNITS)})$"},
            ],
            "examples": ["2 GiB", 2147483648],
        }
    )


Memory = Annotated[Any, AfterValidator(_check_memory), _schema(_LEAST_OF_A_PROCESS)]
"""Memory of a process: bytes, or a text such as ``200 MiB``."""

TaskMemory = Annotated[Any, AfterValidator(_check_task_memory), _schema(_LEAST)]
"""Memory for one task: bytes, or a text such as ``2 GiB``."""
