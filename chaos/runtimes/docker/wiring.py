"""The networks of one run on docker.

A run has a network of the engine's for each that its experiment names: ``nines-RUN`` is the first, ``nines-RUN-back`` one named back.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

from chaos.engine.connection import Engine
from chaos.engine.networks import make_network


def engine_names(run: str, networks: Sequence[str]) -> tuple[str, ...]:
    """What the engine calls a run's networks, in their order; one of them where none is named."""
    return (f"nines-{run}", *(f"nines-{run}-{name}" for name in networks[1:]))


def make_networks(engine: Engine, names: Sequence[str], labels: Mapping[str, str], pick: random.Random) -> tuple[IPv4Network, ...]:
    """Each on a free subnet; found again by their labels, whatever becomes of us between two of them."""
    return tuple(make_network(engine, name, labels, pick)[1] for name in names)
