"""Searches: which points are tried next, and runs that follow from other runs' results."""
