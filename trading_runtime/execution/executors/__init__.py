"""What computes the tasks of a run: worker processes on a laptop or in a pod."""
