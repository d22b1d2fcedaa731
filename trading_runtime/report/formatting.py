"""Numbers, times and names as people read them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.text import abridged
from trading_runtime.units import format_duration, format_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNDEFINED = "\N{EN DASH}"
MOST_VALUE = 300
"""Characters shown of the value of a parameter."""
_MINUS = "\N{MINUS SIGN}"
_SECOND = 1_000_000_000
_DURATION_PARTS = 2


class Metric(NamedTuple):
    """A statistic's name and format: money, percent, ratio, count or seconds."""

    label: str
    form: str


METRICS: Mapping[str, Metric] = {
    "net_profit": Metric("Net profit", "money"),
    "days": Metric("Days", "count"),
    "periods_per_year": Metric("Periods a year", "periods"),
    "return": Metric("Return", "percent"),
    "volatility": Metric("Volatility", "percent"),
    "sharpe": Metric("Sharpe", "ratio"),
    "sortino": Metric("Sortino", "ratio"),
    "max_drawdown": Metric("Max. drawdown", "percent"),
    "max_drawdown_seconds": Metric("Drawdown length", "seconds"),
    "exposure": Metric("Exposure", "percent"),
    "turnover": Metric("Turnover", "times"),
    "trades": Metric("Trades", "count"),
    "win_rate": Metric("Win rate", "percent"),
    "profit_factor": Metric("Profit factor", "ratio"),
    "expectancy": Metric("Expectancy", "money"),
    "fees": Metric("Fees", "money"),
    "funding": Metric("Funding", "money"),
    "swap": Metric("Swap", "money"),
    "swap_charges": Metric("Swap charges", "count"),
    "dividends": Metric("Dividends", "money"),
    "dividend_payments": Metric("Dividend payments", "count"),
    "liquidations": Metric("Liquidations", "count"),
    "liquidation_fees": Metric("Liquidation fees", "money"),
    "traded_value": Metric("Traded value", "money"),
    "orders": Metric("Orders", "count"),
    "partly_filled_orders": Metric("Filled in part", "count"),
    "fills": Metric("Fills", "count"),
    "denied_orders": Metric("Denied orders", "count"),
    "warmup_denied_orders": Metric("Denied in warm-up", "count"),
    "funding_settlements": Metric("Funding settlements", "count"),
    "open_positions": Metric("Open at window ends", "count"),
    "warmup_short": Metric("Short warm-ups", "count"),
    "ruined": Metric("Ruined", "count"),
}


def label(metric: str) -> str:
    """Return the name of a statistic in a heading or on an axis."""
    return METRICS[metric].label if metric in METRICS else metric


def in_sentence(metric: str) -> str:
    """Return the name of a statistic inside a sentence: only a person's name has a capital."""
    text = label(metric)
    return text if metric in ("sharpe", "sortino") else text.lower()


def capitalised(text: str) -> str:
    """Return a text with a capital at the beginning, and the rest as it is."""
    return text[:1].upper() + text[1:]


def statistic(metric: str, value: Any) -> str:
    """Return the value of the named statistic as text; undefined is a dash."""
    if value is None:
        return UNDEFINED
    return _WRITTEN[METRICS[metric].form](value) if metric in METRICS else str(value)


def number(value: float | Decimal, decimals: int) -> str:
    """Return ``value`` with thousands separators, a true minus sign and no negative zero."""
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not any(digit in text for digit in "123456789") else _MINUS + text[1:]
    return text


def amount(value: Decimal) -> str:
    """Return an amount of money: two decimals, or enough to show three digits of a small one."""
    size = abs(value)
    if size == 0 or size >= 1:
        return number(value, 2)
    return number(value, min(16, 2 - math.floor(math.log10(size))))


def percent(value: float) -> str:
    """Return a share as a percentage with two decimals."""
    decimals = 2 if abs(value) >= 0.001 or value == 0 else 4  # noqa: PLR2004
    return f"{number(value * 100, decimals)}%"


def ratio(value: float) -> str:
    """Return a ratio with two decimals, or as a power of ten when it is too large to read."""
    if abs(value) >= 1e6:  # noqa: PLR2004
        return f"{value:.2e}".replace("-", _MINUS).replace("e+", "e")
    return number(value, 2)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as ``3d 4h``."""
    text = format_duration(round(seconds * _SECOND))
    parts: list[str] = []
    current = ""
    for character in text:
        if current and character.isdigit() and not current[-1].isdigit():
            parts.append(current)
            current = ""
        current += character
    return " ".join([*parts, current][:_DURATION_PARTS])


def instant(nanoseconds: int) -> str:
    """Return a moment in UTC, without the time of day at midnight and without zero seconds."""
    text = format_instant(nanoseconds)
    day, _, time = text.removesuffix("Z").partition("T")
    if time == "00:00:00":
        return day
    return f"{day} {time.removesuffix(':00')}"


def value_text(value: Any) -> str:
    """Return the value of a parameter as text, decimals without trailing zeros."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: UNDEFINED}[value]
    return f"{value:g}" if isinstance(value, float) else abridged(str(value), MOST_VALUE)


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """Return ``1 task``, ``3 tasks``: a number with the noun that fits it."""
    return f"{number(count, 0)} {singular if count == 1 else plural or singular + 's'}"


def sentence_list(words: list[str], joint: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(words) < 2:  # noqa: PLR2004
        return "".join(words)
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


_WRITTEN: Mapping[str, Callable[[Any], str]] = {
    "money": lambda value: amount(Decimal(str(value))),
    "percent": percent,
    "ratio": ratio,
    "periods": lambda value: number(value, 1).removesuffix(".0"),
    "times": lambda value: f"{number(value, 1)}\N{MULTIPLICATION SIGN}",
    "seconds": lambda value: duration(float(value)),
    "count": lambda value: number(int(value), 0),
}
