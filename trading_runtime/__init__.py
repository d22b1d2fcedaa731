"""Trading Runtime: backtests of NautilusTrader strategies that can be trusted and repeated."""

__version__ = "0.1.0"
