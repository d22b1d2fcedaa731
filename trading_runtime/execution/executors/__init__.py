"""Who computes the tasks of a run: worker processes of a laptop, or of a pod."""
