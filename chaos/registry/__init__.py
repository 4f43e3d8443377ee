"""Which runs are active; processes."""
