"""Searches: which points are tried next, and runs that follow from what others came to."""
