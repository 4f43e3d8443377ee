"""Observation and prediction held against each other."""
