"""What pods run: the steps plan, batch, check and summary, and what it takes to submit a run."""
