"""The engine's base classes of clients, without the charts that it imports with them.

Plotly, where it is installed, would take a fifth of a session's start, and a session draws none of
the engine's charts.
"""

from __future__ import annotations

from trading_runtime.engine.strategy.hidden_packages import without_charts

with without_charts():
    from nautilus_trader.live.clients import (
        DataClient,
        DataClientFactory,
        ExecutionClient,
        ExecutionClientFactory,
    )

__all__ = ["DataClient", "DataClientFactory", "ExecutionClient", "ExecutionClientFactory"]
