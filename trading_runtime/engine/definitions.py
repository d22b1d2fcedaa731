"""Instrument definitions, as JSON holds them, made into the engine's instruments."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from nautilus_trader import model

from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@cache
def instrument_types() -> dict[str, Any]:
    """Return the engine's instrument classes by name."""
    found = {name: _instrument_type(name) for name in vars(model)}
    return {name: value for name, value in found.items() if value is not None}


@cache
def _instrument_type(name: str) -> Any:
    """Return the instrument class of this name, ``None`` when there is none; all take a while."""
    value = vars(model).get(name)
    is_instrument = (
        isinstance(value, type)
        and hasattr(value, "from_dict")
        and hasattr(value, "margin_init")
        and "price_increment" in inspect.signature(value).parameters
    )
    return value if is_instrument else None


def build_instrument(definition: Mapping[str, Any]) -> Any:
    """Return the engine's instrument of a definition as ``to_dict`` gives it.

    Raises ``DataError`` when the definition is not one.
    """
    name = str(definition.get("type", ""))
    found = _instrument_type(name)
    if found is None:
        known = ", ".join(instrument_types())
        raise DataError(f"instrument type {name!r} is unknown; known are {known}")
    try:
        return found.from_dict(dict(definition))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"instrument {definition.get('id')!r}: {error}") from error


def build_instruments(definitions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the engine's instruments of definitions, in their order."""
    return [build_instrument(definition) for definition in definitions]


def check_bar_type(text: str) -> None:
    """Raise ``ValueError`` when the engine has no such bars, such as ``X.SIM-7-MINUTE-LAST``."""
    model.BarType.from_str(text)
