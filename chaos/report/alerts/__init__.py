"""Alert rules for Prometheus, made from an SLO, and their trial against recorded runs."""
