"""The order in which rows of one instant reach the engine, and which callbacks wait.

The engine takes rows one by one: the market moves, then the strategy is called. With bid and ask
bars the market moves on the second one, so a strategy called with the first one would trade at the
previous bar. Therefore rows of one instant come in an order that makes the market known as early as
possible, and callbacks for a bid bar wait for the ask bar of its instant.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nautilus_trader import model

from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.strategy.guard_state import GuardState
    from trading_runtime.records.inputs import SeriesInputs

_SIDES = {model.PriceType.BID: 1, model.PriceType.ASK: 2}


def in_feeding_order(
    data: Sequence[SeriesInputs], *, bar_execution: bool, with_books: Collection[str] = ()
) -> list[SeriesInputs]:
    """Return the series of a partition in the order in which rows of one instant are fed.

    An instrument's short bars come before long ones; within one length, bid and then ask bars come
    last. Bars that do not move the market come after all that may; none does at the venues
    ``with_books``.
    """

    def key(place: int) -> tuple[Any, ...]:
        series = data[place]
        is_bars = series.type == "bars"
        length, side = length_and_side(series.identifier) if is_bars else (0.0, 0)
        at_book = series.instrument_id.rpartition(".")[2] in with_books
        kind = (is_bars and (at_book or not bar_execution), series.type)
        return (*kind, series.instrument_id, length, side, place)

    return [data[place] for place in sorted(range(len(data)), key=key)]


def length_and_side(identifier: str) -> tuple[float, int]:
    """Return the seconds of a bar type, and its side: 1 for bid, 2 for ask, else 0."""
    spec = model.BarType.from_str(identifier).spec
    length = spec.timedelta.total_seconds() if spec.is_time_aggregated() else math.inf
    return length, _SIDES.get(spec.price_type, 0)


def early_bars(data: Sequence[SeriesInputs], *, bar_execution: bool) -> dict[str, str]:
    """Return the bid bars that move the market together with their ask bars, and these ask bars."""
    if not bar_execution:
        return {}
    sides: dict[str, dict[float, dict[int, str]]] = {}
    for series in data:
        if series.type == "bars":
            length, side = length_and_side(series.identifier)
            if side and length < math.inf:
                of_instrument = sides.setdefault(series.instrument_id, {})
                of_instrument.setdefault(length, {})[side] = series.identifier
    found = {}
    for lengths in sides.values():
        pairs = [pair for _, pair in sorted(lengths.items()) if len(pair) == len(_SIDES)]
        # Longer bars come once the market of their instant is known.
        if pairs:
            found[pairs[0][1]] = pairs[0][2]
    return found


def two_sided(
    data: Sequence[SeriesInputs],
) -> dict[model.InstrumentId, tuple[model.BarType, model.BarType]]:
    """Return the instruments whose prices are bars of bid and ask alone, with the shortest ones."""
    priced = {item.instrument_id for item in data if item.type in {"quotes", "trades"}}
    bars = [item for item in data if item.instrument_id not in priced]
    pairs = (
        tuple(map(model.BarType.from_str, pair))
        for pair in early_bars(bars, bar_execution=True).items()
    )
    return {bid.instrument_id: (bid, ask) for bid, ask in pairs}


def refuse_early_bars(config: Mapping[str, Any], early: Mapping[str, str]) -> None:
    """Raise ``UsageError`` when a strategy inside the engine listens to bars that have to wait."""
    for value in config.values():
        if str(value) in early:
            raise UsageError(
                f"strategy.config: {value}: a strategy that runs inside the engine would trade at "
                f"the bar before, since {early[value]} of the same instant comes later; let it "
                "listen to that one, or write the strategy in Python"
            )


def waiting_for_the_other_side(
    strategy_class: type[Strategy], guard: GuardState, early: Mapping[str, str]
) -> dict[str, Callable[..., Any]]:
    """Return ``on_bar`` of a strategy, called with bid bars once the ask bars have arrived too.

    That is before it is called with the ask bar, or else at the end of the instant.
    """
    if not early:
        return {}
    ask_of_bid = {
        model.BarType.from_str(bid): model.BarType.from_str(ask) for bid, ask in early.items()
    }
    waiting: dict[Any, Any] = {}
    original = strategy_class.on_bar

    def deliver(strategy: Any) -> None:
        while waiting:
            original(strategy, waiting.pop(next(iter(waiting))))

    def on_bar(self: Any, bar: Any) -> None:
        bar_type = bar.bar_type
        if (ask := ask_of_bid.get(bar_type)) is not None:
            if not waiting:
                guard.at_end_of_instant(bar.ts_init, lambda: deliver(self))
            waiting[ask] = bar
            return
        if (bid_bar := waiting.pop(bar_type, None)) is not None:
            original(self, bid_bar)
        original(self, bar)

    return {"on_bar": on_bar}
