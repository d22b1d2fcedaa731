"""What runs are doing, as numbers for Prometheus: one collector for files, scrapes and pushes."""
