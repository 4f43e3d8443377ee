"""Runs that are ended at random instants, in every way and every kind of fault: is anything left? ``python -m tools.soak``."""
