"""Proof of results: recomputed, compared, explained and replayed."""
