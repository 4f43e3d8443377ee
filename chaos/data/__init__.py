"""Is acknowledged data kept? Read from a run folder: the journal of operations, the roles, and nothing else."""
