"""The run's final metrics for the textfile collector of node_exporter, which reads Prometheus' own text format and no timestamps."""

from __future__ import annotations

from chaos.history.folder import RunFolder
from chaos.report.metrics.families import prometheus_text
from chaos.report.metrics.folder import metrics_of


def export(folder: RunFolder) -> str:
    """Text format 0.0.4."""
    return prometheus_text(metrics_of(folder))
