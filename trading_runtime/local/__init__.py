"""The entrypoint of a backtest, and the example experiment."""
