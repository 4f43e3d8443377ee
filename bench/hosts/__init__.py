"""The same experiments on three Docker hosts: ``python -m bench.hosts``."""
