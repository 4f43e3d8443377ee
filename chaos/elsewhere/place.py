"""Where an engine is, as seen from here, and how its socket is called where it stands.

here        its containers' addresses and files are this process's own: nothing travels
elsewhere   another machine, a virtual one, another user's namespaces, or we are in a container ourselves: the harness travels
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from chaos.engine.connection import Engine, Facts

SOCKET: Final = "NINES_ENGINE_SOCKET"
"""The path of the engine's socket on the engine's own machine, where it is none of the usual ones."""
USUAL_SOCKETS: Final = ("/var/run/docker.sock", "/run/podman/podman.sock")
VOLUME: Final = "nines-beside"
"""What outlives a harness beside an engine: the registry of its runs, and run folders that nobody has fetched yet."""
LABEL: Final = "nines.beside"
"""On that volume and on containers of the harness; never ``nines.run``, by which a run removes all that it has started."""
RUNS: Final = "runs"
INPUTS: Final = "in"
STATE: Final = "state"


class Place(msgspec.Struct, frozen=True):
    """Where an engine is."""

    here: bool
    why: str = ""
    """Why it is not here, in a few words."""


def place(facts: Facts) -> Place:
    """By what the engine says of itself, and by who answers at its socket."""
    why = facts.elsewhere
    return Place(here=not why, why=why)


def sockets(engine: Engine, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Where the engine's socket may be on its own machine, the likeliest first; which is the right one is seen by trying."""
    named = environment.get(SOCKET, "").strip()
    if named:
        return [named]
    found = []
    said = _podman_says(engine)
    if said:
        found.append(said)
    parts = urlsplit(engine.facts.host)
    if parts.scheme == "unix" and sys.platform == "linux":
        found.append(parts.path)
    return list(dict.fromkeys([*found, *USUAL_SOCKETS]))


def _podman_says(engine: Engine) -> str:
    """Podman tells where its socket is, by an answer that Docker does not have."""
    if engine.facts.product != "Podman":
        return ""
    info = engine.ask("/v4.0.0/libpod/info")
    remote = info.get("host", {}).get("remoteSocket", {}) if isinstance(info, dict) else {}
    return str(remote.get("path", "")).removeprefix("unix://")


class Where(msgspec.Struct, frozen=True):
    """What the harness beside the engine has there: folders on the engine's own machine."""

    top: str
    fresh: bool = False
    """Nothing was kept there before."""

    @property
    def state(self) -> str:
        """The registry of its runs."""
        return f"{self.top}/{STATE}"

    def run(self, run: str) -> str:
        """The folder of a run."""
        return f"{self.top}/{RUNS}/{run}"

    def inputs(self, run: str) -> str:
        """What was sent along."""
        return f"{self.top}/{INPUTS}/{run}"
