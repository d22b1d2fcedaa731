"""The store, statistics, the reduction over tasks, and the report."""
