"""What happened, as opposed to the results: run id, metadata, journal, metrics."""
