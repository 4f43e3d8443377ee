"""Which containers are meant, found by what survives their restart and their replacement: a name, or a place in a compose project.

Written into the run folder before anything is done to them, so that ``nines heal`` finds the very same ones again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.files import write_atomically
from chaos.engine.errors import translated
from chaos.engine.leftovers import RUN
from chaos.experiment.cluster import AttachSpec
from chaos.plan.attached import parts_of
from chaos.plan.plan import PlannedNode

if TYPE_CHECKING:
    from docker.api import APIClient

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONEOFF: Final = "com.docker.compose.oneoff"
FILE: Final = "attached.json"
"""In the run folder: which node is which container."""


class Key(msgspec.Struct, frozen=True):
    """One node's container: by its ``name``, or by its place in a compose project."""

    node: str
    name: str = ""
    project: str = ""
    service: str = ""
    number: str = ""
    container: str = ""
    """What the container was called when it was found, for people: one of a compose project may be replaced by one of another name."""

    def __str__(self) -> str:
        return f"{self.project}/{self.service}/{self.number}" if self.project else self.name

    def is_of(self, attributes: dict[str, str]) -> bool:
        """Whether an event of the engine speaks of it."""
        if self.project:
            return (attributes.get(PROJECT), attributes.get(SERVICE), attributes.get(NUMBER)) == (self.project, self.service, self.number)
        return attributes.get("name") == self.name


class Ground(msgspec.Struct, frozen=True):
    """The network that they share."""

    name: str
    subnet: IPv4Network
    gateway: str
    has_names: bool
    """Docker answers names on every network but its default one."""


def choose(api: APIClient, attach: AttachSpec, nodes: Sequence[PlannedNode]) -> list[Key]:
    """A running container for each node, in order; ``EnvironmentUnusable`` unless it comes out even.

    Replicas of one compose service are ordered by their number, all others by their names, in which 2 comes before 10.
    """
    found = []
    parts = list(dict.fromkeys(node.part for node in nodes))
    for part in parts:
        names = [node.name for node in nodes if node.part == part]
        services = attach.services_of(part, parts)
        what = f"the label '{attach.label}'" if attach.label else f"{_named(services)} of the compose project '{attach.project}'"
        running, others = listed(api, attach, services)
        if len(running) != len(names):
            rest = f", and {others} stopped ones" if others else ""
            raise EnvironmentUnusable(
                f"{len(running)} running containers{rest} have {what}, and the experiment says {len(names)}",
                how=f"cluster: {{nodes: {len(running)}}}, or start the others" if running else "start them first: nothing is started here",
            )
        found += [_key(name, attach, each) for name, each in zip(names, running, strict=True)]
    return found


def _named(services: Sequence[str]) -> str:
    words = ", ".join(f"'{service}'" for service in services)
    return f"the service {words}" if len(services) == 1 else f"the services {words}"


def names_of(api: APIClient, attach: AttachSpec) -> dict[str, list[str]]:
    """The names of the containers of each part that run, in their nodes' order."""
    parts = parts_of(attach)
    return {part: [_name(each) for each in listed(api, attach, attach.services_of(part, parts))[0]] for part in parts}


def listed(api: APIClient, attach: AttachSpec, services: Sequence[str]) -> tuple[list[dict[str, Any]], int]:
    """Those that run, in order, and how many others there are; what is ours is passed over."""
    label = attach.label or f"{PROJECT}={attach.project}"
    with translated("looking for the containers to attach to"):
        listed: list[dict[str, Any]] = api.containers(all=True, filters={"label": [label]})
    theirs = [each for each in listed if RUN not in each["Labels"] and each["Labels"].get(ONEOFF) != "True"]
    if not attach.label:
        theirs = [each for each in theirs if any(fnmatchcase(each["Labels"].get(SERVICE, ""), service) for service in services)]
    running = [each for each in theirs if each["State"] in ("running", "paused")]
    return in_order(running), len(theirs) - len(running)


def in_order(listed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By number where all are replicas of one service, else by name: numbers count within one service only, and begin anew in each."""
    services = {(each["Labels"].get(PROJECT), each["Labels"].get(SERVICE)) for each in listed}
    numbers = {each["Labels"].get(NUMBER) for each in listed}
    replicas = len(services) == 1 and len(numbers) == len(listed) and None not in numbers
    return sorted(listed, key=lambda each: _place(each["Labels"][NUMBER] if replicas else _name(each)))


def _place(words: str) -> list[tuple[int, str]]:
    """2 comes before 10."""
    return [(int(word), "") if word.isdecimal() else (0, word) for word in re.split(r"(\d+)", words)]


def _name(listed: dict[str, Any]) -> str:
    return str(listed["Names"][0]).lstrip("/")


def _key(node: str, attach: AttachSpec, listed: dict[str, Any]) -> Key:
    if attach.project:
        number = listed["Labels"].get(NUMBER, "1")
        return Key(node, project=attach.project, service=listed["Labels"][SERVICE], number=number, container=_name(listed))
    return Key(node, name=_name(listed), container=_name(listed))


# --- found again -------------------------------------------------------------------------------------------------------


def write_keys(folder: Path, keys: Sequence[Key]) -> None:
    """Durable when it returns."""
    write_atomically(folder / FILE, msgspec.json.encode(list(keys)))


def containers_of(folder: Path) -> dict[str, str]:
    """Node -> the name of its container; empty where the run attached to nothing."""
    return {key.node: key.container or str(key) for key in read_keys(folder)}


def read_keys(folder: Path) -> list[Key]:
    """Empty where the run attached to nothing."""
    path = folder / FILE
    return msgspec.json.decode(path.read_bytes(), type=list[Key]) if path.exists() else []


def look_up(api: APIClient, key: Key) -> dict[str, Any] | None:
    """What the engine says of it now, whatever its id has become; None if there is no such container any more."""
    filters: dict[str, Any] = {"name": f"^/{re.escape(key.name)}$"}
    if key.project:
        filters = {"label": [f"{PROJECT}={key.project}", f"{SERVICE}={key.service}", f"{NUMBER}={key.number}"]}
    from docker.errors import NotFound

    with translated(f"looking for the container {key}"):
        listed = [each for each in api.containers(all=True, filters=filters) if RUN not in each["Labels"]]
        listed.sort(key=lambda each: (each["State"] != "running", -each["Created"]))  # while one is replaced there are two
        if not listed:
            return None
        try:
            found: dict[str, Any] = api.inspect_container(listed[0]["Id"])
        except NotFound:
            return None
    return found


# --- their network -----------------------------------------------------------------------------------------------------


def ground(api: APIClient, attach: AttachSpec, inspected: Sequence[dict[str, Any]]) -> Ground:
    """The one network that all of them are on. ``CapabilityMissing`` for containers without a network of their own."""
    for each in inspected:
        mode = str(each["HostConfig"]["NetworkMode"])
        if mode in ("host", "none") or mode.startswith("container:"):
            raise CapabilityMissing(
                f"{each['Name'].lstrip('/')} has no network of its own ('{mode}')", how="rules there would reach others; use a network"
            )
        pids = str(each["HostConfig"]["PidMode"])
        if pids not in ("", "private"):
            raise CapabilityMissing(
                f"{each['Name'].lstrip('/')} shares the process namespace of others ('{pids}')",
                how="which process is its first could not be told; leave --pid out",
            )
    shared = set.intersection(*(set(each["NetworkSettings"]["Networks"]) for each in inspected))
    if attach.network and attach.network not in shared:
        raise EnvironmentUnusable(f"not all containers are on the network '{attach.network}'", how=f"they share: {_words(shared)}")
    if not attach.network and len(shared) != 1:
        how = f"attach: {{..., network: {min(shared)}}}, or --network {min(shared)}" if shared else "attach to containers of one network"
        raise EnvironmentUnusable(f"the containers share {len(shared)} networks: {_words(shared)}", how=how)
    name = attach.network or shared.pop()
    with translated(f"asking for the network {name}"):
        facts = api.inspect_network(name)
    config = next((each for each in facts["IPAM"]["Config"] or () if ":" not in each.get("Subnet", ":")), None)
    if config is None or facts["Driver"] not in ("bridge",):
        raise CapabilityMissing(
            f"the network '{name}' is no bridge of this engine with IPv4 addresses", how="a network of the driver 'bridge'"
        )
    subnet = IPv4Network(config["Subnet"])
    return Ground(name, subnet, config.get("Gateway") or str(subnet[1]), has_names=name != "bridge")


def address_on(inspected: dict[str, Any], network: str) -> str:
    """Its address there; empty while it has none."""
    return str(inspected["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress", ""))


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
