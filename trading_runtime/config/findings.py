"""What a check of an experiment finds, and the checks that several sections share."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from trading_runtime.config.messages import show
from trading_runtime.config.places import PathError, resolve_path, resolve_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trading_runtime.config.messages import Key


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with what ``keys`` lead to."""

    keys: tuple[Key, ...]
    message: str
    of_key: bool = False
    """Whether the key itself is at fault, not its value."""


def check_values(keys: tuple[Key, ...], value: Any) -> Iterator[Finding]:
    """Find numbers that a strategy could not be given exactly."""
    if isinstance(value, Decimal) and Decimal(repr(float(value))) != value:
        yield Finding(
            keys, f"{value} has more digits than a number holds exactly (17); write it in quotes"
        )
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from check_values((*keys, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_values((*keys, index), item)


def check_names(keys: tuple[Key, ...], names: Sequence[str] | None) -> Iterator[Finding]:
    """Find names that are there twice, and an empty list of the dataset's."""
    if names is None:
        return
    if not names and keys[0] == "dataset":
        yield Finding(keys, "must not be empty; leave the key out to use all of the dataset")
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Finding((*keys, index), f"{show(name)} is there twice; keep one")


def check_place(keys: tuple[Key, ...], text: str, folder: Path) -> Iterator[Finding]:
    """Find out whether ``text`` can be a folder, here or in S3."""
    try:
        resolve_place(text, folder)
    except PathError as error:
        yield Finding(keys, str(error))


def check_path(
    keys: tuple[Key, ...], text: str, folder: Path, exists: str | None = None
) -> Iterator[Finding]:
    """Find out whether ``text`` can be a path, and, if asked, whether it leads to something."""
    try:
        path = resolve_path(text, folder)
    except PathError as error:
        yield Finding(keys, str(error))
        return
    if exists and not (path.is_file() if exists == "file" else path.exists()):
        yield Finding(
            keys, f"there is no {exists} {text!r} (looked for {path}); paths start at this file"
        )
