"""Instrument definitions from exchanges' descriptions of their markets, saved as JSON."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import decimal_text
from trading_runtime.datasets.instrument_facts import StatedInstrument
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ACCEPTED = (
    "accepted are Binance's exchangeInfo, the instruments of Bybit (v5) and OKX (v5), Kraken's "
    "AssetPairs, and CCXT's markets"
)


def definitions_from(
    content: Any, where: str, venue: str | None, only: Sequence[str] = ()
) -> list[StatedInstrument]:
    """Return the spot pairs and perpetuals in an exchange's response, sorted by id.

    ``only`` are symbols as the exchange writes them. Contracts that expire and options are left
    out. Raises ``UsageError`` when the response is of no known kind or lacks what is asked for.
    """
    kinds = ((name, read) for name, matches, read in _READERS if matches(content))
    exchange, read = next(kinds, (None, None))
    if exchange is None or read is None:
        raise UsageError(f"{where}: is no answer that is known; {_ACCEPTED}")
    try:
        found = list(read(content))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{where}: looks like an answer of {exchange}, but lacks {error}; {_ACCEPTED}"
        ) from error
    if only:
        missing = sorted(set(only) - {symbol for symbol, _ in found})
        if missing:
            raise UsageError(f"{where}: has no spot pair or perpetual {', '.join(missing)}")
        found = [(symbol, item) for symbol, item in found if symbol in only]
    if not found:
        raise UsageError(f"{where}: holds no spot pair and no perpetual")
    place = venue or exchange
    if place == "CCXT":
        raise UsageError("--venue is missing: CCXT's markets do not tell whose they are")
    made = {f"{item.id}.{place}": item for _, item in found}
    return [replace(made[name], id=name) for name in sorted(made)]


def _binance(content: Any) -> Iterator[tuple[str, StatedInstrument]]:
    for item in content["symbols"]:
        filters = {entry["filterType"]: entry for entry in item.get("filters", [])}
        if "PRICE_FILTER" not in filters or "LOT_SIZE" not in filters:
            continue
        contract = item.get("contractType")
        if contract not in {None, "", "PERPETUAL"}:
            continue
        yield (
            item["symbol"],
            _instrument(
                item["symbol"],
                item["baseAsset"],
                item["quoteAsset"],
                filters["PRICE_FILTER"]["tickSize"],
                filters["LOT_SIZE"]["stepSize"],
                settled_in=item.get("marginAsset") if contract else None,
            ),
        )


def _bybit(content: Any) -> Iterator[tuple[str, StatedInstrument]]:
    result = content["result"]
    for item in result["list"]:
        contract = item.get("contractType", "")
        if contract and not contract.endswith("Perpetual"):
            continue
        lots = item["lotSizeFilter"]
        yield (
            item["symbol"],
            _instrument(
                item["symbol"],
                item["baseCoin"],
                item["quoteCoin"],
                item["priceFilter"]["tickSize"],
                lots.get("qtyStep") or lots["basePrecision"],
                settled_in=item.get("settleCoin") if contract else None,
            ),
        )


def _okx(content: Any) -> Iterator[tuple[str, StatedInstrument]]:
    for item in content["data"]:
        kind = item.get("instType")
        if kind not in {"SPOT", "SWAP"}:
            continue
        base, quote = item["instId"].split("-")[:2]
        made = _instrument(
            item["instId"].removesuffix("-SWAP"),
            base,
            quote,
            item["tickSz"],
            item["lotSz"],
            settled_in=item.get("settleCcy") if kind == "SWAP" else None,
            # Sizes are in contracts of this many coins.
            multiplier=_plain(item["ctVal"]) if kind == "SWAP" else None,
        )
        yield item["instId"], made


def _kraken(content: Any) -> Iterator[tuple[str, StatedInstrument]]:
    for item in content["result"].values():
        base, _, quote = item["wsname"].partition("/")
        tick = item.get("tick_size") or Decimal(1).scaleb(-int(item["pair_decimals"]))
        lot = Decimal(1).scaleb(-int(item["lot_decimals"]))
        yield item["altname"], _instrument(f"{base}/{quote}", base, quote, tick, lot)


def _ccxt(content: Any) -> Iterator[tuple[str, StatedInstrument]]:
    markets = list(content.values()) if isinstance(content, dict) else content
    numbers = [
        Decimal(str(value))
        for item in markets
        for value in item.get("precision", {}).values()
        if value is not None
    ]
    # Either all are increments, and some are fractions, or all are numbers of decimal places.
    counts_digits = not any(number != int(number) for number in numbers)
    for item in markets:
        if item.get("type") not in {"spot", "swap"} or not item.get("precision"):
            continue
        tick, lot = (item["precision"].get(name) for name in ("price", "amount"))
        if tick is None or lot is None:
            continue
        if counts_digits:
            tick, lot = (Decimal(1).scaleb(-int(value)) for value in (tick, lot))
        is_swap = item["type"] == "swap"
        size = item.get("contractSize") if is_swap else None
        is_one = size is None or Decimal(str(size)) == 1
        made = _instrument(
            item["id"].removesuffix("-SWAP") if is_swap else item["id"],
            item["base"],
            item["quote"],
            tick,
            lot,
            settled_in=item.get("settle") if is_swap else None,
            multiplier=None if is_one else _plain(size),
        )
        yield item["symbol"], made


def _instrument(  # noqa: PLR0913 - what defines a market
    symbol: str,
    base: str,
    quote: str,
    tick: object,
    lot: object,
    *,
    settled_in: str | None = None,
    multiplier: str | None = None,
) -> StatedInstrument:
    return StatedInstrument(
        type="CurrencyPair" if settled_in is None else "CryptoPerpetual",
        id=symbol if settled_in is None else f"{symbol}-PERP",
        base_currency=base,
        quote_currency=quote,
        price_increment=_plain(tick),
        size_increment=_plain(lot),
        settlement_currency=settled_in,
        is_inverse=True if settled_in == base else None,
        multiplier=multiplier,
    )


def _plain(value: object) -> str:
    try:
        return decimal_text(Decimal(str(value)))
    except (InvalidOperation, ValueError) as error:
        raise UsageError(f"{value!r} is not an increment") from error


def _is_ccxt(content: Any) -> bool:
    markets = list(content.values()) if isinstance(content, dict) else content
    return (
        isinstance(markets, list)
        and bool(markets)
        and all(
            isinstance(item, dict) and {"symbol", "base", "quote"} <= set(item) for item in markets
        )
    )


def _has(*keys: str) -> Callable[[Any], bool]:
    def matches(content: Any) -> bool:
        for key in keys:
            if not isinstance(content, dict) or key not in content:
                return False
            content = content[key]
        return isinstance(content, list)

    return matches


def _is_kraken(content: Any) -> bool:
    pairs = content.get("result") if isinstance(content, dict) else None
    return (
        isinstance(pairs, dict)
        and bool(pairs)
        and all(isinstance(item, dict) and "wsname" in item for item in pairs.values())
    )


_READERS: tuple[
    tuple[str, Callable[[Any], bool], Callable[[Any], Iterator[tuple[str, StatedInstrument]]]], ...
] = (
    ("BINANCE", _has("symbols"), _binance),
    ("BYBIT", _has("result", "list"), _bybit),
    ("OKX", _has("data"), _okx),
    ("KRAKEN", _is_kraken, _kraken),
    ("CCXT", _is_ccxt, _ccxt),
)
