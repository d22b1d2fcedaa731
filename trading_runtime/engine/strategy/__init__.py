"""A user's strategy: loaded, configured, guarded, and its commands."""
