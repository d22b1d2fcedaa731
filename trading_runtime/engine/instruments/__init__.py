"""Instrument definitions, as files and as the engine's objects."""
