"""Currencies by their code, including those that the engine does not know by itself.

The engine knows some hundred codes and refuses amounts in any other. Codes that it lacks are
registered before they are used: national currencies of ISO 4217 with the digits of that standard,
every other code as a crypto currency with 8 digits, which is how the engine itself treats them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nautilus_trader.model import Currency, CurrencyType, Money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TWO_DIGITS = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP
MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS
VED VES WST XCD YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_ISO_DIGITS = {
    code: digits
    for digits, codes in ((2, _TWO_DIGITS), (0, _NO_DIGITS), (3, _THREE_DIGITS))
    for code in codes.split()
}


@functools.cache
def currency(code: str) -> Currency:
    """Return the currency of this code, which the engine knows from then on."""
    try:
        return Money.from_str(f"0 {code}").currency
    except ValueError:
        made = Currency.from_str(code)
        if code in _ISO_DIGITS:
            made = Currency(code, _ISO_DIGITS[code], 0, code, CurrencyType.FIAT)
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


def register_currencies(definitions: Iterable[Mapping[str, Any]]) -> None:
    """Register the currencies of instruments with the engine, each as ``to_dict`` gives it."""
    for definition in definitions:
        for key, value in definition.items():
            if isinstance(value, str) and key.endswith("currency"):
                currency(value)
            elif isinstance(value, str) and key.endswith("_notional"):
                money(value)
