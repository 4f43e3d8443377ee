"""A run as metrics for Prometheus and what reads its formats: while it goes on, after it, and as series in time."""
