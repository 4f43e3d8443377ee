"""Containers that ran before the run."""
