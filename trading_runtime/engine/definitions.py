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
    return {
        name: value
        for name, value in vars(model).items()
        if isinstance(value, type) and hasattr(value, "from_dict") and hasattr(value, "margin_init")
        and "price_increment" in inspect.signature(value).parameters
    }  # fmt: skip


def build_instrument(definition: Mapping[str, Any]) -> Any:
    """Return the engine's instrument of a definition as ``to_dict`` gives it.

    Raises ``DataError`` when the definition is not one.
    """
    types = instrument_types()
    name = str(definition.get("type", ""))
    if name not in types:
        raise DataError(f"instrument type {name!r} is unknown; known are {', '.join(types)}")
    try:
        return types[name].from_dict(dict(definition))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"instrument {definition.get('id')!r}: {error}") from error


def build_instruments(definitions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the engine's instruments of definitions, in their order."""
    return [build_instrument(definition) for definition in definitions]


def check_bar_type(text: str) -> None:
    """Raise ``ValueError`` when the engine has no such bars, such as ``X.SIM-7-MINUTE-LAST``."""
    model.BarType.from_str(text)
