"""The steps that pods run (plan, batch, check and summary), and the submission of a run."""
