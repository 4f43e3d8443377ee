"""The run's final metrics as OpenMetrics text, the report's figures included."""

from __future__ import annotations

from chaos.history.folder import RunFolder
from chaos.report.metrics.families import openmetrics
from chaos.report.metrics.folder import metrics_of


def export(folder: RunFolder) -> str:
    """One sample for each series, without timestamps."""
    return openmetrics(metrics_of(folder))
