"""Instrument definitions from JSON, made into the engine's instruments."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from nautilus_trader import model

from trading_runtime.engine.instruments.currencies import currency, money, register_currencies
from trading_runtime.errors import DataError
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MOST_PRECISION = 16
"""Digits after the point in the catalog's decimals."""

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_CURRENCY = re.compile(r"[A-Z0-9]{2,12}")

Conversion = tuple["Callable[[Any], Any]", str]
"""Reads a value, and describes what it accepts."""


def conversion(parameter: str) -> Conversion:
    """Return how the value of a constructor's parameter is read.

    Reading raises ``ValueError``, ``TypeError``, ``ArithmeticError`` or ``AttributeError`` for
    values that are not accepted.
    """
    if parameter in _CONVERSIONS:
        return _CONVERSIONS[parameter]
    for ending, found in _BY_ENDING.items():
        if parameter.endswith(ending):
            return found
    return (lambda value: value), "a value that the engine takes"


def number_text(value: Any) -> str | None:
    """Return a decimal text or number in plain notation; None when it is neither."""
    if isinstance(value, Decimal):
        value = format(value, "f")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError
    return value


def _number(value: Any) -> str:
    text = number_text(value)
    if text is None:
        raise TypeError
    return text


def _above_zero(value: Any) -> str:
    text = _number(value)
    if Decimal(text) <= 0:
        raise ValueError(text)
    return text


def _currency(value: Any) -> Any:
    if not _CURRENCY.fullmatch(_text(value)):
        raise ValueError(value)
    return currency(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _precision(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_PRECISION:
        raise TypeError
    return value


def _instant(value: Any) -> int:
    moment = value if isinstance(value, int) else parse_instant(_text(value))
    if isinstance(value, bool) or moment < 0:
        raise TypeError
    return moment


def _names(kind: Any) -> str:
    return ", ".join(variant.name for variant in kind.variants())


_PRICE: Conversion = (
    lambda value: model.Price.from_str(_number(value)),
    'a decimal such as "0.01"',
)
_QUANTITY: Conversion = (
    lambda value: model.Quantity.from_str(_number(value)),
    'a decimal of 0 or more, such as "0.001"',
)
_MONEY: Conversion = (
    lambda value: money(_text(value)),
    "an amount such as '10 USDT'",
)
_INSTANT: Conversion = (
    _instant,
    "nanoseconds since 1970, or a time such as '2024-12-20T14:30:00Z'",
)
_MARGIN: Conversion = (lambda value: Decimal(_number(value)), 'a decimal such as "0.05"')
_CONVERSIONS: dict[str, Conversion] = {
    "instrument_id": (
        lambda value: model.InstrumentId.from_str(_text(value)),
        "SYMBOL.VENUE, such as 'BTCUSDT-PERP.SIM'",
    ),
    "raw_symbol": (lambda value: model.Symbol(_text(value)), "a text"),
    "price_increment": (
        lambda value: model.Price.from_str(_above_zero(value)),
        'a decimal above 0, such as "0.01"',
    ),
    "size_increment": (
        lambda value: model.Quantity.from_str(_above_zero(value)),
        'a decimal above 0, such as "0.001"',
    ),
    "max_price": _PRICE,
    "min_price": _PRICE,
    "strike_price": _PRICE,
    "lot_size": _QUANTITY,
    "multiplier": _QUANTITY,
    "max_quantity": _QUANTITY,
    "min_quantity": _QUANTITY,
    "max_notional": _MONEY,
    "min_notional": _MONEY,
    "margin_init": _MARGIN,
    "margin_maint": _MARGIN,
    "asset_class": (model.AssetClass.from_str, f"one of {_names(model.AssetClass)}"),
    "option_kind": (model.OptionKind.from_str, f"one of {_names(model.OptionKind)}"),
    "is_inverse": (_flag, "true or false"),
    "info": (_mapping, "a mapping of keys to values"),
    "ts_event": _INSTANT,
    "ts_init": _INSTANT,
}
_BY_ENDING: dict[str, Conversion] = {
    "currency": (_currency, "a currency code in capital letters, such as 'USDT'"),
    "_ns": _INSTANT,
    "_precision": (_precision, f"a whole number from 0 to {MOST_PRECISION}"),
}


@cache
def instrument_types() -> dict[str, Any]:
    """Return the engine's instrument classes by name."""
    found = {name: _instrument_type(name) for name in vars(model)}
    return {name: value for name, value in found.items() if value is not None}


@cache
def _instrument_type(name: str) -> Any:
    """Return the instrument class of this name, or ``None``; loading all of them takes a while."""
    value = vars(model).get(name)
    is_instrument = (
        isinstance(value, type)
        and hasattr(value, "from_dict")
        and hasattr(value, "margin_init")
        and "price_increment" in inspect.signature(value).parameters
    )
    return value if is_instrument else None


def definition_of(instrument: Any) -> InstrumentDefinition:
    """Return the definition of an engine's instrument."""
    return InstrumentDefinition.from_document(instrument.to_dict())


def build_instrument(definition: InstrumentDefinition) -> Any:
    """Return the engine's instrument of a definition.

    Raises ``DataError`` when the definition is invalid.
    """
    name = definition.type or ""
    found = _instrument_type(name)
    if found is None:
        known = ", ".join(instrument_types())
        raise DataError(f"instrument type {name!r} is unknown; known are {known}")
    try:
        register_currencies([definition])
        return found.from_dict(dict(definition.content))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"instrument {definition.id!r}: {error}") from error


def build_instruments(definitions: Sequence[InstrumentDefinition]) -> list[Any]:
    """Return the engine's instruments of definitions, in their order."""
    return [build_instrument(definition) for definition in definitions]


def check_bar_type(text: str) -> None:
    """Raise ``ValueError`` for bars the engine does not have, such as ``X.SIM-7-MINUTE-LAST``."""
    model.BarType.from_str(text)
