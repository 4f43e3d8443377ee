"""The same events as the body of an Elasticsearch ``_bulk`` request: an action line before each, with an id of its own."""

from __future__ import annotations

import msgspec

from chaos.history.folder import RunFolder
from chaos.report.ecs import events


def export(folder: RunFolder) -> str:
    """``POST /<index>/_bulk`` with ``Content-Type: application/x-ndjson``."""
    encoder = msgspec.json.Encoder()
    lines = []
    for event in events(folder):
        lines.append(encoder.encode({"create": {"_id": f"{event.labels.run}-{event.event.sequence}"}}))
        lines.append(encoder.encode(event))
    return b"".join(line + b"\n" for line in lines).decode()
