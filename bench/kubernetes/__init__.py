"""The same experiments on a real Kubernetes, seed by seed: ``python -m bench.kubernetes``."""
