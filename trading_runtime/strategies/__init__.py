"""Example strategies: EMA cross, market maker, and one that does nothing."""
