"""The history as JSON lines in the Elastic Common Schema: what Logstash and Elasticsearch take."""

from __future__ import annotations

import msgspec

from chaos.history.folder import RunFolder
from chaos.report.ecs import events


def export(folder: RunFolder) -> str:
    """All rows, a JSON object a line."""
    encoder = msgspec.json.Encoder()
    return "".join(encoder.encode(event).decode() + "\n" for event in events(folder))
