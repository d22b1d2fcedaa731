"""Equity, valuation and the tables of a task."""
