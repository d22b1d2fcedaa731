"""Data that a strategy subscribes to but its task is not fed: the engine does not report it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nautilus_trader import model

from trading_runtime.datasets.slices import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nautilus_trader.trading import Strategy

    from trading_runtime.engine.strategy.guard_state import GuardState
    from trading_runtime.records.inputs import SeriesInputs

_BOOKS = ("order_book_deltas", "order_book_depths")
_DATA_OF: dict[str, tuple[str, ...]] = {
    "subscribe_quotes": ("quotes",),
    "subscribe_trades": ("trades",),
    "subscribe_mark_prices": ("mark_prices",),
    "subscribe_index_prices": ("index_prices",),
    "subscribe_funding_rates": ("funding_rates",),
    "subscribe_instrument_status": ("instrument_status",),
    "subscribe_instrument_close": ("instrument_closes",),
    "subscribe_book_deltas": ("order_book_deltas",),
    "subscribe_book_depth": ("order_book_depths",),
    "subscribe_book_at_interval": _BOOKS,
    "subscribe_data": (CUSTOM,),
}
"""Commands that subscribe to an instrument's data, and the types of data that they get."""
_ARGUMENT = {"bars": "bar_type", "data": "data_type"}
"""The name of the first argument, if it is not an instrument."""
_RENEWABLE = ("quotes", "trades", "bars")
"""What is subscribed to again when an instrument's data stops."""
_BUILT_FROM = {
    model.PriceType.LAST: ("trades",),
    model.PriceType.MARK: ("mark_prices",),
}
"""What the engine builds bars from, by price; other prices are built from quotes."""


def noting_subscriptions(
    strategy_class: type[Strategy], guard: GuardState
) -> dict[str, Callable[..., Any]]:
    """Return the commands of ``strategy_class`` that subscribe to data, as the guard has them."""

    def note(key: tuple[str, str], what: Any) -> None:
        if not guard.can_make(what):
            raise RuntimeError(
                f"subscribe_bars({what}): a replay makes bars of a length in time from its first "
                "row on; subscribe to them in on_start, or put such bars into the dataset"
            )
        guard.subscriptions[key] = what
        guard.unsubscribed.discard(key)

    def note_end(key: tuple[str, str], _what: Any) -> None:
        guard.unsubscribed.add(key)

    def note_own(key: tuple[str, str], _what: Any) -> None:
        # What a strategy publishes to itself is none of the dataset's.
        guard.subscriptions.pop(key, None)

    names = (*_DATA_OF, "subscribe_bars")
    ends = [f"unsubscribe_{kind}" for kind in _RENEWABLE]
    return (
        {name: _noted(strategy_class, name, note) for name in names}
        | {name: _noted(strategy_class, name, note_end) for name in ends}
        | {"publish_data": _noted(strategy_class, "publish_data", note_own)}
    )


def _noted(
    strategy_class: type[Strategy], name: str, note: Callable[[tuple[str, str], Any], None]
) -> Callable[..., Any]:
    command = getattr(strategy_class, name)
    kind = name.partition("_")[2]
    argument = _ARGUMENT.get(kind, "instrument_id")

    @functools.wraps(command)
    def noted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        what = arguments[0] if arguments else keywords.get(argument)
        note((f"subscribe_{kind}", _name(what)), what)
        return command(self, *arguments, **keywords)

    return noted


def _name(what: Any) -> str:
    if isinstance(what, model.DataType):
        # As a dataset names its series; without an instrument, as a strategy does its own data.
        return "-".join(filter(None, (what.identifier, what.type_name)))
    return str(what)


def renewable(guard: GuardState, instrument: str) -> list[tuple[str, Any]]:
    """Return kind and identifier of what the strategy gets of an instrument from its venue."""
    found = []
    for (command, name), what in guard.subscriptions.items():
        kind = command.removeprefix("subscribe_")
        if kind not in _RENEWABLE or (command, name) in guard.unsubscribed:
            continue
        if kind == "bars":
            is_of_it = what.is_externally_aggregated() and str(what.instrument_id) == instrument
        else:
            is_of_it = name == instrument
        if is_of_it:
            found.append((kind, what))
    return found


def unfed(
    subscriptions: Mapping[tuple[str, str], Any],
    emulated: Iterable[Any],
    data: Sequence[SeriesInputs],
    *,
    quotes_from_books: bool,
) -> list[str]:
    """Return, in words, which subscriptions the series in ``data`` cannot serve.

    ``emulated`` are orders that the engine holds back until their trigger: it listens for them.
    """
    fed: dict[str, set[str]] = {}
    for series in data:
        fed.setdefault(series.type, set()).add(series.identifier)
    if quotes_from_books:
        fed["quotes"] = set().union(*(fed.get(kind, set()) for kind in _BOOKS))
    found = {
        f"{command.removeprefix('subscribe_').replace('_', ' ')} of {name}"
        for (command, name), what in subscriptions.items()
        if not any(wanted in fed.get(kind, ()) for kind, wanted in _wanted(command, name, what))
    }
    for order in emulated:
        kind = "trades" if order.emulation_trigger == model.TriggerType.LAST_PRICE else "quotes"
        name = str(order.trigger_instrument_id or order.instrument_id)
        if name not in fed.get(kind, ()):
            found.add(f"{kind} of {name}, which trigger emulated orders")
    return sorted(found)


def _wanted(command: str, name: str, what: Any) -> list[tuple[str, str]]:
    """Return types and identifiers of the series, any one of which is enough."""
    if command != "subscribe_bars":
        return [(kind, name) for kind in _DATA_OF[command]]
    if what.is_composite():
        what = what.composite()
    if what.is_externally_aggregated():
        return [("bars", str(what))]
    kinds = _BUILT_FROM.get(what.spec.price_type, ("quotes",))
    return [(kind, str(what.instrument_id)) for kind in kinds]
