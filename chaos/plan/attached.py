"""A system that already runs, as a target: pure, from what the experiment says about it.

With ``target`` named as well, that one's roles, operations, ports and questions are used. Without, everything is read off the
operations that the experiment defines: ``home: {http: "http://web:8080/", rate: 20/s}`` names the port, the name that clients
resolve, and a question that shows whether a node answers.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from chaos.core.plugins import suggest
from chaos.experiment.cluster import ATTACHED, AttachSpec, Resources
from chaos.experiment.document import Experiment
from chaos.experiment.target.spec import Ask, Count, DockerPart, Part, Ready, Target
from chaos.plan.cluster import refuse

ONE_PART: Final = (
    "each service is a part of its own here; for nodes of one part write nodes: 3 in place of parts, or services: {kv: [kv1, kv2, kv3]}"
)
_PATTERN: Final = re.compile(r"[*?\[]")
_NUMBERED: Final = re.compile(r"[A-Za-z].*\d")
"""The name of a member, as most are called: kv1, etcd-0, shop-web-2."""
_MOST_NODES: Final = 99
_PORT: Final = "client"
_WHERE: Final = re.compile(r"(?:[A-Z]+\s+)?(?:(?P<scheme>https?)://)?(?P<host>[^/:\s]+)(?::(?P<port>\d+))?(?P<path>/\S*)?")


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
    _refuse_name_of_one(experiment, attach)
    if named is not None:
        return _with(experiment, attach, named)
    if experiment.cluster.settings:
        raise refuse(experiment, "cluster.settings", "nothing that already runs is set here", "leave it out, or name its target")
    known = [where for where in map(_where, _written(experiment)) if where is not None]
    names = parts_of(attach, experiment.cluster.parts)
    for part in attach.asked:
        if part not in names:
            raise refuse(experiment, f"cluster.attach.ready.{part}", f"there is no part '{part}'", suggest(part, names))
    parts = {
        name: msgspec.structs.replace(
            _part(experiment, attach, attach.asked.get(name), known), nodes=_count(attach.services_of(name, names))
        )
        for name in names
    }
    return Target(name=ATTACHED, folder="", about="", settings={}, parts=parts, operations={}, roles=attach.roles)


def _part(experiment: Experiment, attach: AttachSpec, own: Ask | None, known: Sequence[Where]) -> Part:
    """``own``: the part's own question, which then says where the part listens."""
    asked = own or attach.ready
    where = _where(asked.http or asked.tcp or "") if asked is not None else None
    if own is not None and where is None:
        right = "ready: {web: {http: http://{address}:8080/}}"
        raise refuse(experiment, "cluster.attach.ready", "a part's own question names its port as a number", right)
    if own is None and not known and asked == Ask():
        return Part(ports=_ports({}, attach), ready=Ready(within_s=attach.within_s), peer_port=_PORT, docker=DockerPart(image=ATTACHED))
    if own is None and not known:
        right = 'traffic: {operations: {home: {http: "http://web:8080/", rate: 20/s}}}'
        raise refuse(experiment, "traffic.operations", "no operation says where the system listens", right)
    ready = asked or _question(experiment, known)
    ports = _ports({_PORT: (where if own is not None and where is not None else known[0]).port}, attach)
    part = Part(
        ports=ports,
        ready=Ready(**msgspec.structs.asdict(ready), within_s=attach.within_s),
        peer_port=_PORT,
        docker=DockerPart(image=ATTACHED),
    )
    return part if part.by_process else msgspec.structs.replace(part, ping={_PORT: ready})


def parts_of(attach: AttachSpec, counted: Collection[str] = ()) -> tuple[str, ...]:
    """The parts: as they are written; a service each where the experiment counts them so (``parts``); else all services together.

    Containers of one label are one part. One part is named after what its services or their label have in common.
    """
    if attach.groups:
        return tuple(attach.groups)
    if len(attach.services) > 1 and set(counted) == set(attach.services):
        return attach.services
    if len(attach.services) == 1 and not _PATTERN.search(attach.services[0]):
        return attach.services
    label = attach.label.rpartition("=")[2] or attach.label
    if attach.pods is not None:
        label = attach.pods.service or attach.pods.selector.partition(",")[0].rpartition("=")[2].strip()
    word = os.path.commonprefix(attach.services) if attach.services else label  # noqa: RUF071 - names, not paths
    return (re.sub(r"[^A-Za-z0-9]+", "-", _PATTERN.split(word)[0]).strip("-0123456789") or ATTACHED,)


def _count(services: Sequence[str]) -> Count:
    """As many nodes as there are services, where each is named and nothing else is said."""
    named = 1 if any(map(_PATTERN.search, services)) else max(1, len(services))
    return Count(min(named, _MOST_NODES), 1, _MOST_NODES)


def client_name(experiment: Experiment) -> str:
    """What clients resolve: as said, else the host of the first operation that names one, else the one service.

    Empty where several services have no name in common: clients then know the addresses of all nodes.
    """
    attach = experiment.cluster.attach
    assert attach is not None
    hosts = [where.host for where in map(_where, _written(experiment)) if where is not None and where.host != "{address}"]
    if attach.name or hosts:
        return attach.name or hosts[0]
    if attach.pods is not None:
        return attach.pods.service
    return attach.services[0] if len(attach.services) == 1 and not _PATTERN.search(attach.services[0]) else ""


def _refuse_name_of_one(experiment: Experiment, attach: AttachSpec) -> None:
    """Of members that are services of their own each has its own name, by which clients would never reach the others."""
    name = client_name(experiment)
    for part in parts_of(attach, experiment.cluster.parts) if attach.services else ():
        services = attach.services_of(part, parts_of(attach, experiment.cluster.parts))
        if name in services and len(services) > 1:
            rest = ", ".join(each for each in services if each != name)
            what = f"the name '{name}' is that of one service: clients would never reach {rest}"
            if attach.name:
                raise refuse(experiment, "cluster.attach.name", what, "leave it out: clients then know the addresses of all nodes")
            right = f"write {{address}} in place of {name}: clients then know the addresses of all nodes"
            raise refuse(experiment, "traffic.operations", what, f"{right}; or attach: {{name: ...}} for an alias of all")


def name_of_one(experiment: Experiment) -> tuple[str, ...]:
    """A caution for a name that ends in a number, of containers of one label: no file says which of them has it, only the engine does."""
    attach = experiment.cluster.attach
    if attach is None or not attach.label or attach.name or (experiment.cluster.nodes or 1) < 2:
        return ()
    name = client_name(experiment)
    if not _NUMBERED.fullmatch(name):
        return ()
    return (
        f"'{name}' looks like the name of one member of {experiment.cluster.nodes}: a run refuses it unless it leads to all of them. "
        "{address} in its place asks all",
    )


# --- reading it off ----------------------------------------------------------------------------------------------------


def _written(experiment: Experiment) -> list[str]:
    """What the operations defined here ask, in their order."""
    return [spec.options["what"] for spec in experiment.traffic.operations.values() if "what" in spec.options]


def asked(experiment: Experiment) -> list[Where]:
    """Where operations that are defined here send to."""
    return [where for where in map(_where, _written(experiment)) if where is not None]


def _where(what: str) -> Where | None:
    found = _WHERE.fullmatch(what.strip())
    if found is None or (found["port"] is None and found["scheme"] is None):
        return None
    return Where(
        found["host"],
        int(found["port"] or (443 if found["scheme"] == "https" else 80)),
        (found["path"] or "/") if found["scheme"] else None,
    )


def _ports(known: Mapping[str, int], attach: AttachSpec) -> dict[str, int]:
    """Those that have a name, and those that only ``attach.ports`` tells of."""
    return {**known, **{f"port{number}": number for number in attach.ports if number not in known.values()}}


def _question(experiment: Experiment, known: Sequence[Where]) -> Ask:
    """A whole answer to the first request: a frozen program would still accept a connection."""
    first = next((where for where in known if where.path is not None and "{" not in where.path), None)
    if first is None and (asked := _tcp_question(experiment)) is not None:
        return asked
    if first is None:
        right = 'attach: {..., ready: {tcp: "{address}:{client}", send: "PING\\r\\n", expect: PONG}}'
        raise refuse(experiment, "cluster.attach", "no operation shows how a node is asked whether it answers", right)
    return Ask(http=f"http://{{address}}:{{{_PORT}}}{first.path}")


def _tcp_question(experiment: Experiment) -> Ask | None:
    """Of an operation that sends something and awaits an answer; a frozen program still accepts, so without one it shows nothing."""
    for spec in experiment.traffic.operations.values():
        if spec.probe == "tcp" and spec.options.get("expect"):
            where = _where(spec.options["what"])
            if where is not None and "{" not in spec.options.get("send", "") + spec.options["expect"]:
                tls = spec.options.get("tls") == "true"
                return Ask(tcp=f"{{address}}:{where.port}", send=spec.options.get("send"), expect=spec.options["expect"], tls=tls)
    return None


def _with(experiment: Experiment, attach: AttachSpec, named: Target) -> Target:
    """The named target's questions about containers that are not its own."""
    if attach.roles:
        raise refuse(experiment, "cluster.attach.roles", f"'{named.name}' says how its nodes are asked for roles", "leave it out")
    if attach.ready is not None:
        raise refuse(experiment, "cluster.attach.ready", f"'{named.name}' says how its nodes are asked", "leave it out")
    if len(named.parts) > 1 and set(named.parts) != set(attach.groups or attach.services):
        right = f"services: {{{', '.join(f'{part}: [...]' for part in named.parts)}}}"
        raise refuse(experiment, "cluster.attach", f"'{named.name}' has the parts {', '.join(named.parts)}", right)
    if len(named.parts) == 1 and attach.groups and set(attach.groups) != set(named.parts):
        right = f"services: {{{next(iter(named.parts))}: [{', '.join(attach.services)}]}}"
        raise refuse(experiment, "cluster.attach.services", f"'{named.name}' has the part {', '.join(named.parts)}", right)
    if (attach.label or attach.pods is not None) and not client_name(experiment):
        raise refuse(experiment, "cluster.attach", "nothing says which name clients resolve", "attach: {..., name: web}")
    docker = DockerPart(image=ATTACHED)
    parts = {name: msgspec.structs.replace(part, docker=docker, ports=_ports(part.ports, attach)) for name, part in named.parts.items()}
    return msgspec.structs.replace(named, parts=parts, init=(), pid1=False)
