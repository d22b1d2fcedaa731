"""Trading Runtime: backtests of NautilusTrader strategies that can be trusted and repeated."""
