"""The report of a run: what a person reads, made only from what the run stored."""
