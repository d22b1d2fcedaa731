"""Proof of results: computed again, compared, explained and replayed."""
