"""The search for schedules of faults that break an objective: drawn from a seed, run, and shrunk to the least that still does."""
