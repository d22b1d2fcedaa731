"""Metrics of runs for Prometheus: one collector for files, scrapes and pushes."""
