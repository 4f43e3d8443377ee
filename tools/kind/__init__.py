"""A cluster of kind on this machine, for tests, its node image made here: ``python -m tools.kind ...``."""
