"""Programs that are measured, or that measure inside one process; each runs in our environment."""
