"""Currencies by their code, including those that the engine does not know by itself.

The engine knows some hundred codes and refuses amounts in any other. Codes that it lacks are
registered before they are used: national currencies of ISO 4217 with the digits of that standard,
every other code as a crypto currency with 8 digits, which is how the engine itself treats them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from nautilus_trader.model import Currency, CurrencyType, Money

from trading_runtime.currency_codes import NATIONAL_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trading_runtime.records.instruments import InstrumentDefinition


@functools.cache
def currency(code: str) -> Currency:
    """Return the currency of this code, which the engine knows from then on."""
    try:
        return Money.from_str(f"0 {code}").currency
    except ValueError:
        made = Currency.from_str(code)
        if code in NATIONAL_DIGITS:
            made = Currency(code, NATIONAL_DIGITS[code], 0, code, CurrencyType.FIAT)
        Currency.register(made)
        return made


def money(text: str) -> Money:
    """Return an amount such as ``10 USDT``.

    Raises ``ValueError`` when it is not an amount.
    """
    _, _, code = text.partition(" ")
    if code.isalnum():
        currency(code)
    return Money.from_str(text)


def register_currencies(definitions: Iterable[InstrumentDefinition]) -> None:
    """Register the currencies of instruments with the engine."""
    for definition in definitions:
        for code in definition.currencies:
            currency(code)
        for amount in (definition.max_notional, definition.min_notional):
            if amount is not None:
                money(amount)
