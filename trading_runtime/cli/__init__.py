"""The trading-runtime command."""
