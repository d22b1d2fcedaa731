"""The only room that imports nautilus_trader: venue, strategy, one task's run, its tables."""
