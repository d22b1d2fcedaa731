"""Formats: named data file settings for vendors' files."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from trading_runtime.config.fields import Model
from trading_runtime.config.messages import nearest
from trading_runtime.datasets.settings_files import checked, read_settings
from trading_runtime.errors import UsageError

_SUFFIXES = (".json", ".yaml", ".yml")


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    return text


class Format(Model):
    """One format: settings that apply to all files of its kind, whatever the instrument."""

    about: str
    """Whose files these are, and what they contain."""
    instrument: str
    """The type of instrument that is created when no instrument file is given. With ``Any``, a
    symbol that is no pair is a stock."""
    note: str | None = None
    """What an import says about the numbers in the files."""
    note_of_perpetuals: str | None = None
    """What an import says about a perpetual that it creates."""
    inverse: Annotated[str, AfterValidator(_check_pattern)] | None = None
    """A regular expression that finds in a file's name the symbol of an inverse contract, whose
    sizes are contracts of USD."""
    width: int | None = None
    """The number of columns, where a file of another kind would be read without an error."""
    also: str | None = None
    """A format of the vendor's other files, which are easily mistaken for these."""
    is_text: bool = True
    """Whether the files are CSV; others have columns with types."""
    symbol_column: str | None = None
    """The symbol column of files with several instruments."""
    asks: tuple[str, ...] = Field((), strict=False)
    """Settings that the files do not reveal, so they must be given."""
    series: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """Entries of a data file's ``series``, without ``instrument`` and ``files``."""


@cache
def formats() -> dict[str, Format]:
    """Return the known formats, by name."""
    text = importlib.resources.files(__package__).joinpath("formats.json").read_bytes()
    return TypeAdapter(dict[str, Format]).validate_json(text)


def find_format(name: str) -> Format:
    """Return the format of this name, or the one in the settings file of this path.

    Raises ``UsageError`` when there is none.
    """
    if name.endswith(_SUFFIXES):
        path = Path(name)
        return checked(Format, read_settings(path), path)
    if name not in formats():
        raise UsageError(
            f"--format {name!r}: there is no such format{nearest(name, formats())}; see "
            "'trading-runtime data formats', or give a file of settings of your own"
        )
    return formats()[name]
