"""Names of statistics, for files that name one and tables that list all."""

from __future__ import annotations

STATISTICS = (
    "net_profit",
    "fees",
    "funding",
    "traded_value",
    "days",
    "periods_per_year",
    "return",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "max_drawdown_seconds",
    "exposure",
    "turnover",
    "orders",
    "partly_filled_orders",
    "fills",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
)
"""Those that a task and a point have, in the order in which they are stored."""

POINT_STATISTICS = (
    *STATISTICS,
    "denied_orders",
    "warmup_denied_orders",
    "funding_settlements",
    "open_positions",
    "warmup_short",
    "ruined",
)
"""In the order in which they are stored; an objective may name any of them."""

COUNTS_OF_FLOWS = {"swap": "swap_charges", "dividends": "dividend_payments"}
"""What positions receive and pay apart from trading, and how often, by settings of a venue."""
MONEY_WHERE_CHARGED = (*COUNTS_OF_FLOWS, "liquidation_fees")
COUNTS_WHERE_CHARGED = (*COUNTS_OF_FLOWS.values(), "liquidations")
"""Further statistics, only for experiments whose venues have flows or liquidate."""

BETTER_LOW = frozenset(
    {
        *("fees", "volatility", "max_drawdown", "max_drawdown_seconds", "partly_filled_orders"),
        *("denied_orders", "warmup_denied_orders", "open_positions", "warmup_short", "ruined"),
        *("swap_charges", "liquidations", "liquidation_fees"),
    }
)
"""Statistics of which a lower value is the better one."""
