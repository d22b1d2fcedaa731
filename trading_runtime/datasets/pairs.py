"""Pairs of currencies in symbols and in the names of files."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE", "DAI", "USD", "EUR", "GBP", "JPY", "CHF",
    "AUD", "CAD", "NZD", "TRY", "BRL", "KRW", "BTC", "ETH", "BNB", "XBT",
)  # fmt: skip
"""Currencies that a symbol such as BTCUSDT may end in."""
_DOLLARS = frozenset({"USD", "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDE"})
_COINS = frozenset({"BTC", "ETH", "BNB", "XBT"})
_NOT_IN_COINS = (frozenset(QUOTES) - _COINS) | {"BTC", "XBT"}
"""Currencies without a price in coins: USDT_BTC is BTC in USDT, the quote first."""
_PLAIN_KNOWN = frozenset(QUOTES) | {
    "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "ZAR", "MXN", "CNH", "CNY", "HKD", "SGD", "INR",
    "XAU", "XAG", "XPT", "XPD", "SOL", "XRP", "ADA", "DOGE", "XDG", "LTC", "BCH", "AVAX", "TRX",
    "MATIC", "SHIB", "PEPE", "XLM", "XMR", "EOS", "ALGO", "AAVE",
}  # fmt: skip
"""Currencies whose names are hardly words."""
KNOWN = _PLAIN_KNOWN | {
    "DOT", "LINK", "UNI", "ATOM", "ETC", "NEAR", "APT", "ARB", "OP", "FIL", "SUI", "TON", "INJ",
    "ICP", "HBAR", "VET", "GRT", "SAND", "MANA", "AXS", "FTM", "RUNE", "THETA", "XTZ", "DASH",
    "ZEC", "KSM", "CRV", "SNX", "COMP", "MKR", "BAT", "LDO", "IMX", "STX", "SEI", "TIA", "WIF",
    "BONK", "FLOKI", "MNT", "BTT", "HNT", "LIT", "FTT", "QNT", "ONT", "CHZ", "ENA", "HYPE",
}  # fmt: skip
"""Currencies: DOTUSD is DOT in USD, not DO in TUSD."""
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
_WORD = re.compile(r"[A-Za-z0-9]+")
_ENDING = re.compile(r"[0-9]*$")
"""What follows a pair without a sign between: the date of BTCUSDT2024, the minutes of EURUSD60."""
_WORDS = frozenset({"TRY"})
"""Currencies that are words when they are not in capitals: ``btc_try_2.csv``."""
_JOINING = frozenset("-_/")
_KRAKENS = re.compile(r"X([A-Z]{3})Z([A-Z]{3})")
"""Kraken's own name of a pair: XXBTZUSD."""
_THOUSANDS = re.compile(r"^10{3,}")


def currencies_of(symbol: str, quote: str | None) -> tuple[str, str]:
    """Return base and quote currency of a symbol such as BTCUSDT, EUR/USD or ETH-USD-PERP.

    Raises ``UsageError`` when the symbol does not show them.
    """
    if ":" in symbol:
        pair = symbol.partition(":")[0]
        raise UsageError(
            f"--instrument: {symbol!r} has a colon; write {pair}-PERP for a perpetual, {pair} for "
            "a spot pair"
        )
    plain = symbol.removesuffix("-PERP").removesuffix("-SWAP").upper()
    parts = re.split(r"[/_-]", plain)
    if len(parts) == 2 and all(parts):  # noqa: PLR2004 - base and quote
        return parts[0], parts[1]
    splits = _splits(plain, [quote] if quote else QUOTES)
    known = [pair for pair in splits if pair[0] in KNOWN and not _is_dollar_in_dollars(*pair)]
    if known or len(splits) == 1:
        return (known or splits)[0]
    if not splits and len(shown := pairs_in(symbol)) == 1:
        return shown[0]
    either = f": {' or '.join(map('/'.join, splits))}" if splits else ""
    raise UsageError(
        f"--instrument: the currencies of {symbol!r} are not clear{either}; write them apart as in "
        "BTC/USDT, give --currency for the one that prices are in, or --instruments FILE"
    )


def pairs_in(text: str) -> list[tuple[str, str]]:
    """Return the pairs that a symbol or a file's name shows beyond doubt, in upper case."""
    # What follows a point is no symbol of its own: USA500.IDXUSD.
    words = [word for word in _WORD.finditer(text) if text[word.start() - 1 : word.start()] != "."]
    found = [pair for word in words if (pair := _joined(word[0])) is not None]
    names = [word[0].upper() for word in words]
    for at, (first, second) in enumerate(itertools.pairwise(words)):
        base, quote = names[at : at + 2]
        is_apart = text[first.end() : second.start()] in _JOINING
        is_written_so = base in _PLAIN_KNOWN or (first[0] + second[0]).isupper()
        is_written_so &= quote not in _WORDS or second[0].isupper()
        # BTC_PERP_USDT and BINANCE_USDT_BTC have another base.
        around = {*names[max(at - 1, 0) : at], *names[at + 2 : at + 3]} - {quote}
        is_base = base in KNOWN or not around & KNOWN
        if is_apart and is_written_so and is_base and quote in QUOTES and _is_pair(base, quote):
            found.append((base, quote))
    return found


def are_alike(one: tuple[str, str], other: tuple[str, str], *, scaled: bool) -> bool:
    """Tell whether two pairs may be the same: XBT is BTC, and USD may stand for USDT.

    With ``scaled``, 1000PEPE is PEPE.
    """
    bases, quotes = (
        [_ALIASES.get(name, name) for name in names] for names in zip(one, other, strict=True)
    )
    if scaled:
        bases = [_THOUSANDS.sub("", base) for base in bases]
    is_dollar = "USD" in quotes and set(quotes) <= _DOLLARS
    return bases[0] == bases[1] and (quotes[0] == quotes[1] or is_dollar)


def _splits(plain: str, quotes: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (plain.removesuffix(quote), quote)
        for quote in quotes
        if plain.endswith(quote) and plain != quote
    ]


def _joined(word: str) -> tuple[str, str] | None:
    """Return the pair that a word such as BTCUSDT is, if it is one."""
    plain = _ENDING.sub("", word)
    krakens = _KRAKENS.fullmatch(plain)
    if krakens is not None and krakens[1] in KNOWN and krakens[2] in QUOTES:
        return krakens[1], krakens[2]
    splits = _splits(plain.upper(), QUOTES)
    for base, quote in splits:
        if base in KNOWN and _is_pair(base, quote):
            return base, quote
    # US500USD is a pair, pricesusd is none, and DOTUSD may be of DOT or of DO.
    bases = [
        (base, quote)
        for base, quote in splits
        if _is_pair(base, quote) or (quote == "USD" and len(base) > 1 and plain.isupper())
    ]
    return bases[0] if len(bases) == len(splits) == 1 else None


def _is_dollar_in_dollars(base: str, quote: str) -> bool:
    """Tell whether the price of USD would be in a coin of its own: USDTUSD is USDT in USD."""
    return base == "USD" and quote in _DOLLARS


def _is_pair(base: str, quote: str) -> bool:
    if base == quote or _is_dollar_in_dollars(base, quote):
        return False
    if base in _NOT_IN_COINS and quote in _COINS:
        return False
    # Nothing else ends in USDT.
    is_name = len(base) > 1 and not base.isdecimal()
    return base in KNOWN or (is_name and quote in _DOLLARS and quote != "USD")
