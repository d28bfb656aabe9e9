"""Who computes the blocks: threads, worker processes, a cluster, a GPU."""
