"""A system that already runs, as a target: pure, from what the experiment says about it.

With ``target`` named as well, that one's roles, operations, ports and questions are used. Without, everything is read off the
operations that the experiment defines: ``home: {http: "http://web:8080/", rate: 20/s}`` names the port, the name that clients
resolve, and a question that shows whether a node answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from chaos.experiment.cluster import ATTACHED, AttachSpec, Resources
from chaos.experiment.document import Experiment
from chaos.experiment.target.spec import Ask, Count, DockerPart, Part, Ready, Target
from chaos.plan.cluster import refuse

ONE_PART: Final = (
    "each service is a part of its own; for nodes of one part give their containers one label, and write attach: {label: role=kv}"
)
_PORT: Final = "client"
_WHERE: Final = re.compile(r"(?:[A-Z]+\s+)?(?:(?P<scheme>http)://)?(?P<host>[^/:\s]+)(?::(?P<port>\d+))?(?P<path>/\S*)?")


class Where(NamedTuple):
    """What an operation says about the system: ``path`` is None for one that is not http."""

    host: str
    port: int
    path: str | None


def attached_target(experiment: Experiment, named: Target | None) -> Target:
    """The target that stands for it. ``BadInput`` for what the experiment leaves open."""
    attach = experiment.cluster.attach
    assert attach is not None
    if experiment.cluster.resources != Resources():
        raise refuse(experiment, "cluster.resources", "containers that already run have the limits that they have", "leave it out")
    if named is not None:
        return _with(experiment, attach, named)
    if experiment.cluster.settings:
        raise refuse(experiment, "cluster.settings", "nothing that already runs is set here", "leave it out, or name its target")
    known = [where for where in map(_where, _written(experiment)) if where is not None]
    if not known:
        right = 'traffic: {operations: {home: {http: "http://web:8080/", rate: 20/s}}}'
        raise refuse(experiment, "traffic.operations", "no operation says where the system listens", right)
    ready = attach.ready or _question(experiment, known)
    ports = _ports({_PORT: known[0].port}, attach)
    part = Part(ports=ports, ready=Ready(**msgspec.structs.asdict(ready)), nodes=Count(1, 1, 99), peer_port=_PORT,
                docker=DockerPart(image=ATTACHED))  # fmt: skip
    part = msgspec.structs.replace(part, ping={_PORT: ready})
    return Target(name=ATTACHED, folder="", about="", settings={}, parts=dict.fromkeys(parts_of(attach), part), operations={})


def parts_of(attach: AttachSpec) -> tuple[str, ...]:
    """A part for each service; containers of one label are one part, named after it."""
    if attach.services:
        return attach.services
    word = attach.label.rpartition("=")[2] or attach.label
    return (re.sub(r"[^A-Za-z0-9-]", "-", word).strip("-") or ATTACHED,)


def client_name(experiment: Experiment) -> str:
    """What clients resolve: as said, else the host of the first operation that names one, else the service."""
    attach = experiment.cluster.attach
    assert attach is not None
    hosts = [where.host for where in map(_where, _written(experiment)) if where is not None and where.host != "{address}"]
    return attach.name or next(iter((*hosts, *attach.services)), "")


# --- reading it off ----------------------------------------------------------------------------------------------------


def _written(experiment: Experiment) -> list[str]:
    """What the operations defined here ask, in their order."""
    return [spec.options["what"] for spec in experiment.traffic.operations.values() if "what" in spec.options]


def _where(what: str) -> Where | None:
    found = _WHERE.fullmatch(what.strip())
    if found is None or (found["port"] is None and found["scheme"] is None):
        return None
    return Where(found["host"], int(found["port"] or 80), (found["path"] or "/") if found["scheme"] else None)


def _ports(known: Mapping[str, int], attach: AttachSpec) -> dict[str, int]:
    """Those that have a name, and those that only ``attach.ports`` tells of."""
    return {**known, **{f"port{number}": number for number in attach.ports if number not in known.values()}}


def _question(experiment: Experiment, known: Sequence[Where]) -> Ask:
    """A whole answer to the first request: a frozen program would still accept a connection."""
    first = next((where for where in known if where.path is not None and "{" not in where.path), None)
    if first is None:
        right = 'attach: {..., ready: {tcp: "{address}:{client}", send: "PING\\r\\n", expect: PONG}}'
        raise refuse(experiment, "cluster.attach", "no operation shows how a node is asked whether it answers", right)
    return Ask(http=f"http://{{address}}:{{{_PORT}}}{first.path}")


def _with(experiment: Experiment, attach: AttachSpec, named: Target) -> Target:
    """The named target's questions about containers that are not its own."""
    if attach.ready is not None:
        raise refuse(experiment, "cluster.attach.ready", f"'{named.name}' says how its nodes are asked", "leave it out")
    if len(named.parts) > 1 and set(named.parts) != set(attach.services):
        right = f"services: [{', '.join(named.parts)}]"
        raise refuse(experiment, "cluster.attach", f"'{named.name}' has the parts {', '.join(named.parts)}", right)
    if len(named.parts) == 1 and len(attach.services) > 1:
        raise refuse(
            experiment, "cluster.attach.services", f"'{named.name}' has one part, and {len(attach.services)} services are named", ONE_PART
        )
    if not client_name(experiment):
        raise refuse(experiment, "cluster.attach", "nothing says which name clients resolve", "attach: {..., name: web}")
    docker = DockerPart(image=ATTACHED)
    parts = {name: msgspec.structs.replace(part, docker=docker, ports=_ports(part.ports, attach)) for name, part in named.parts.items()}
    return msgspec.structs.replace(named, parts=parts, init=(), pid1=False)
