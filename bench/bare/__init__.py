"""The other side of bench.api: a Django view that stores a task by the same statement, and does nothing else."""
