"""Sessions: a trading strategy from its deployment file to its report."""
