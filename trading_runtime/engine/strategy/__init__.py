"""A user's strategy: loading, config, guard, and commands."""
