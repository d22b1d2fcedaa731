"""Checks before, during and after runs: readiness, probes, reconciliation and drills."""
