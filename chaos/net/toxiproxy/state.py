"""Proxies and toxics as values, and how one that is differs from one that should be."""

from __future__ import annotations

import math
from typing import Final

import msgspec

OLDEST: Final = (2, 6)
"""The oldest version we drive: it brought PATCH."""
DOWNSTREAM: Final = "downstream"
UPSTREAM: Final = "upstream"
BOTH: Final = "both"


class ProxyToxic(msgspec.Struct, frozen=True):
    """Harm to one direction of a proxy's connections; names and units are Toxiproxy's (ms, KB/s, µs, bytes)."""

    name: str
    type: str
    attributes: dict[str, float]
    stream: str = DOWNSTREAM
    toxicity: float = 1.0


class ProxyState(msgspec.Struct, frozen=True):
    """A proxy as the server describes it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ProxyToxic, ...] = ()

    def toxic(self, name: str) -> ProxyToxic | None:
        """The toxic of that name."""
        return next((toxic for toxic in self.toxics if toxic.name == name), None)


def toxics_for(name: str, kind: str, attributes: dict[str, float], stream: str, toxicity: float = 1.0) -> tuple[ProxyToxic, ...]:
    """One toxic, or one for each direction where ``stream`` is ``both``; the name gets the direction added."""
    streams = (UPSTREAM, DOWNSTREAM) if stream == BOTH else (stream,)
    return tuple(ProxyToxic(f"{name}_{each}", kind, attributes, each, toxicity) for each in streams)


def difference(want: ProxyState, found: ProxyState | None) -> str:
    """How a proxy is not as wanted; empty if it is. (Host and port 0 of ``listen`` come back as bound, so these may differ.)"""
    if found is None:
        return "is not there"
    if found.enabled != want.enabled:
        return "is open" if found.enabled else "is closed"
    if found.upstream != want.upstream:
        return f"leads to {found.upstream}, not {want.upstream}"
    port = want.listen.rpartition(":")[2]
    if port != "0" and found.listen.rpartition(":")[2] != port:
        return f"listens on {found.listen}, not {want.listen}"
    for toxic in want.toxics:
        there = found.toxic(toxic.name)
        if there is None:
            return f"has no toxic {toxic.name}"
        if (there.type, there.stream) != (toxic.type, toxic.stream) or not math.isclose(there.toxicity, toxic.toxicity, abs_tol=1e-6):
            return f"toxic {toxic.name} is {there.type} {there.stream} with toxicity {there.toxicity:g}"
        for key, value in whole(toxic.attributes).items():
            if there.attributes.get(key) != value:
                return f"toxic {toxic.name} has {key} {there.attributes.get(key)}, not {value}"
    extra = {toxic.name for toxic in found.toxics} - {toxic.name for toxic in want.toxics}
    return f"has toxics that nobody ordered: {', '.join(sorted(extra))}" if extra else ""


def version_numbers(text: str) -> tuple[int, int] | None:
    """``2.12.0`` or ``v2.12`` -> (2, 12); None for ``git``."""
    major, _, rest = text.strip().removeprefix("v").partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def whole(attributes: dict[str, float]) -> dict[str, int]:
    """As the server takes them: whole numbers."""
    return {key: round(value) for key, value in attributes.items()}
