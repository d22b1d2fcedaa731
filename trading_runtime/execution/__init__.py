"""Execute a plan in worker processes."""
