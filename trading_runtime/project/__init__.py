"""A user's own project: its settings, its first files, and whether this installation is sound."""
