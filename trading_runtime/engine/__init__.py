"""The only package that imports nautilus_trader: venue, strategy, one task's run, its tables."""
