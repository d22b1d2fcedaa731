"""Sessions: the life of a strategy that trades, from its deployment file to its report."""
