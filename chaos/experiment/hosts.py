"""``cluster.hosts``: several Docker hosts, each with its engine, as the docker command names it.

::

    hosts: {a: unix:///var/run/docker.sock, b: ssh://b, c: tcp://10.0.0.3:2376}      an address, or the name of a Docker context
    hosts: {b: {engine: ssh://b, address: 10.0.0.2, power_off: "virsh destroy b", power_on: "virsh start b"}}

The first is where clients, name server and harness stand. A host is a zone: nodes are placed on hosts by ``zones``, else in turn.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from chaos.core.errors import BadInput
from chaos.experiment.forms import Form, one_of, string
from chaos.experiment.power import BOTH, check_power
from chaos.experiment.safety import COMMAND
from chaos.experiment.schema import Schema, Shapes, named
from chaos.experiment.source import Scalar, Value, table_of
from chaos.experiment.tables import Rule, Strict, Written, table

MOST_HOSTS: Final = 7
"""So many gateways have room in a run's network, below the addresses of nodes."""
_ENGINE: Final = string(
    "an engine",
    pattern=re.compile(r"(?:unix:///\S+|(?:ssh|tcp)://[^/\s]\S*|[A-Za-z0-9][A-Za-z0-9_.+-]*)"),
    name="the address of an engine, or the name of a Docker context",
    right="unix:///var/run/docker.sock, ssh://user@host, tcp://host:2376, or a name that 'docker context ls' lists",
)
_ADDRESS: Final = string("an address", pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*"), right="10.0.0.2, or a name of the host")


@Written(rules=(Rule(check_power, BOTH),), inline=True)
class HostSpec(Strict, frozen=True):
    """Where its engine is, how the other hosts reach it, and how its power is switched"""

    engine: Annotated[str, _ENGINE]
    """``unix://``, ``ssh://``, ``tcp://``, or the name of a Docker context"""
    address: Annotated[str, _ADDRESS] = ""
    """Where the other hosts reach it; default: the host of ``ssh://`` or ``tcp://``"""
    power_off: Annotated[tuple[str, ...], COMMAND] = ()
    """Takes its power away; run where the harness stands, without a shell. For the fault ``power_off`` with ``by: command``"""
    power_on: Annotated[tuple[str, ...], COMMAND] = ()
    """Gives it back; the engine is awaited afterwards"""


_HOST: Final[Form[HostSpec]] = one_of(_ENGINE.then(lambda engine, _: HostSpec(engine)), table=table(HostSpec))


def _read(value: Value) -> dict[str, HostSpec]:
    entry = table_of(value)
    right = "hosts: {a: unix:///var/run/docker.sock, b: ssh://b}"
    if not 2 <= len(entry.entries) <= MOST_HOSTS:
        raise BadInput(f"2 to {MOST_HOSTS} hosts can be tied together, not {len(entry.entries)}", place=entry.place, right=right)
    found = {}
    for number, (name, one) in enumerate(entry.entries.items()):
        host = found[name] = _HOST.read(one)
        if not number and host.power_off:
            message = f"'{name}' is the first host, where clients and harness stand: it cannot be switched off"
            raise BadInput(message, place=one.place, right="power_off of another host")
        if number and host.engine.startswith("unix://") and not host.address:
            message = f"nothing says where the other hosts reach '{name}': its engine's address is a file"
            raise BadInput(message, place=one.place, right=f"{name}: {{engine: {host.engine}, address: 10.0.0.2}}")
        if isinstance(one, Scalar) and any(other.engine == host.engine for key, other in found.items() if key != name):
            raise BadInput(f"'{name}' has the engine of another host", place=one.place, right="one engine for each")
    return found


def _describe(shapes: Shapes) -> Schema:
    return named(_HOST.describe(shapes)) | {"minProperties": 2, "maxProperties": MOST_HOSTS}


HOSTS: Final[Form[dict[str, HostSpec]]] = Form(_read, _describe)
