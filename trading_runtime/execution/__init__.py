"""Carries out what a plan says, in worker processes."""
