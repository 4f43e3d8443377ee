"""The run as OpenMetrics time series, a sample a second: for ``promtool tsdb create-blocks-from openmetrics``."""

from __future__ import annotations

from chaos.history.folder import RunFolder
from chaos.report.metrics.folder import report_of
from chaos.report.metrics.series import openmetrics_series


def export(folder: RunFolder) -> str:
    """What a scraper would have stored."""
    return openmetrics_series(folder.read_plan(), folder.rows(), report=report_of(folder))
