"""Datasets: made from raw files, described by a manifest, cut into partitions."""
