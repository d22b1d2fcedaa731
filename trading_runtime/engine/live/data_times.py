"""The instants of rows in place of wall-clock instants: what a replay's engine does not know."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING, Any

from trading_runtime.engine.live.restoring import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.engine.accounting.tables import Columns, TaskTables
    from trading_runtime.engine.live.reporting import Listener

_TIMES = {
    "orders": ("ts_init", "ts_last"),
    "fills": ("ts",),
    "positions": ("ts_opened", "ts_closed"),
}


class Timing:
    """Records at which row of the data an order was made, or an event came, and passes it on."""

    def __init__(self, listener: Listener, note: Callable[..., None]) -> None:
        """``note`` is given the engine's instants of what has just happened."""
        self._listener = listener
        self._note = note
        self.asking = listener.asking
        self.queued = listener.queued
        self.on_new_order = listener.on_new_order

    def sending(self, orders: Sequence[Any]) -> None:
        """Note when orders that are about to go out were made."""
        for order in orders:
            self._note(order.ts_init)
        self._listener.sending(orders)

    def on_order_event(self, event: Any) -> None:
        """Note when an order's event came."""
        self._note(event.ts_init, event.ts_event)
        self._listener.on_order_event(event)

    def on_position_event(self, event: Any) -> None:
        """Pass on a position's event, which comes with an order's."""
        self._listener.on_position_event(event)


def in_time_of_data(tables: TaskTables, times: Sequence[tuple[int, int]], end: int) -> TaskTables:
    """Return the tables with the instants of rows in place of wall-clock instants."""
    walls = [wall for wall, _ in times]

    def restated(ts: int | None) -> int | None:
        if ts is None:
            return None
        # A change that was not reported itself is reported by the next event.
        place = bisect_left(walls, ts)
        return times[place][1] if place < len(times) else end

    columns = dict(tables.columns)
    for name in ("orders", "fills"):
        columns[name] = _traded(columns[name])
    for name, of_table in _TIMES.items():
        columns[name] = {
            **columns[name],
            **{column: list(map(restated, columns[name][column])) for column in of_table},
        }
    return replace(tables, columns=columns)


def _traded(columns: Columns) -> Columns:
    """Return the rows of orders or fills, except those that put a position back."""
    kept = [not name.startswith(PREFIX) for name in columns["order_id"]]
    if all(kept):
        return columns
    return {name: list(compress(values, kept)) for name, values in columns.items()}
