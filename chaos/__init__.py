"""Nines: break a replicated cluster on schedule, measure what clients saw, hold it against a prediction."""

__version__ = "0.1.0"
