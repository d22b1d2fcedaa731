"""What happened, as against what came out: run id, metadata, journal, metrics."""
