"""Typed records of a run: plan, metadata, result, failures, journal and its events."""
