"""From an experiment and a manifest to points, partitions, tasks, batches: the plan."""
