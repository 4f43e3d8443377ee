"""``cluster``: what to start, or with ``attach`` which containers that already run are the nodes.

::

    attach: {label: app=web}                                      every container with this label
    attach: {compose: shop, services: [web]}                      of a compose project, by its name
    attach: {compose: compose.yaml, services: [kv1, kv2, kv3]}    or by its file; members that are a service each are one part
    attach: {compose: shop, services: {kv: "kv*", web: [web]}}    parts by name, services also by a pattern
    attach: {kubernetes: {namespace: shop, service: store}}       pods of a Kubernetes cluster (``pods.py``)

Nothing is asked of an engine here: how many there are is said by ``nodes`` (or ``parts``) and held against what runs at the start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from chaos.core import plugins
from chaos.core.errors import BadInput
from chaos.core.units import Bytes, Seconds
from chaos.experiment.compose.project import PROJECT, compose_project
from chaos.experiment.forms import COUNT, NAME, WORDS, Form, choice, listed, mapping, one_of, string, whole
from chaos.experiment.hosts import HOSTS, HostSpec
from chaos.experiment.pods import OursSpec, PodsSpec
from chaos.experiment.schema import anchored, any_of, given, there
from chaos.experiment.source import Table, Value, table_of
from chaos.experiment.tables import DISTINCT, UNWRITTEN, Key, Rule, Strict, Written, table
from chaos.experiment.target.spec import Ask

ATTACHED: Final = "attached"
"""Stands for the target where the experiment names none."""
PROCESS: Final = "process"
"""In place of a question: a node takes part as long as its process runs."""
MOST_PORT: Final = 65535
_MOST_NETWORKS: Final = 4
"""Each of them takes a bridge and a subnet of the engine's, for every run."""
_FILES: Final = (".yaml", ".yml")
_TARGET: Final = string("the name or path of a target")
_RUNTIME: Final = choice(lambda: ["auto", *plugins.names("runtimes")])
_NODES: Final = listed(WORDS, example="[n1, n2]", distinct=True)
_PORTS: Final = listed(whole(ge=1, le=MOST_PORT), example="[7001]", distinct=True)
_PATTERN: Final = string("the name of a service", pattern=re.compile(r"[A-Za-z0-9._*?\[\]-]+"), right="web, or a pattern such as kv*")
_PATTERNS: Final = listed(_PATTERN, example="[web, db]", least=1, distinct=True, few="no service is named")
_ONE_OR_MORE: Final = one_of(_PATTERN.then(lambda name, _: (name,)), listing=_PATTERNS)
_SERVICES: Final = one_of(
    _PATTERN.then(lambda name, _: (name,)),
    listing=_PATTERNS,
    table=mapping(_ONE_OR_MORE, empty="no service is named", right="{kv: [kv1, kv2]}"),
)
_ASK_KEYS: Final = frozenset(Ask.__struct_fields__)
_BY_PART: Final = mapping(table(Ask), empty="no part is named", right="{web: {http: ...}}")


def _process(word: str, value: Value) -> Ask:
    if word != PROCESS:
        right = f"{PROCESS}, or a question such as {{http: http://{{address}}:8080/}}"
        raise BadInput(f"'{word}' is not a question", place=value.place, right=right)
    return Ask()


def _one_or_each(value: Value) -> Ask | dict[str, Ask]:
    entry = table_of(value)
    return table(Ask).read(entry) if not entry.entries or _ASK_KEYS & set(entry.entries) else _BY_PART.read(entry)


_ATTACHED_READY: Final = one_of(
    Form(WORDS.then(_process).read, {"const": PROCESS}),
    table=Form(_one_or_each, lambda shapes: any_of(table(Ask).describe(shapes), _BY_PART.describe(shapes))),
)
_NETWORKS: Final = listed(NAME, example="[front, back]", least=1, most=_MOST_NETWORKS, distinct=True)
_LABEL: Final = string("a label", pattern=re.compile(r"[A-Za-z0-9._/-]+(=\S*)?"), right="app=web")


class DnsCheck(Strict, frozen=True):
    """How the name server decides who is in the set. ``what``: ``ready``, ``role:leader``, or an http path."""

    what: str = "ready"
    every_s: Seconds = 0.25
    timeout_s: Seconds = 0.2
    fall: int = 2
    rise: int = 2


class ExternalDns(Strict, frozen=True):
    """A name service that is not ours: the first node of a part of the target, or a server at an address."""

    name: Annotated[str, WORDS]
    """The name that clients ask for, in full: www.shop.test"""
    part: str | None = None
    port: str = "dns"
    """The part's port that answers, over UDP"""
    server: str | None = None
    """In place of a part: address:port"""
    health_checked: bool = False
    """It takes nodes out by itself; ``check`` says by which rule, for the prediction. Else it is taken to list every node, always."""
    lag_s: Seconds = 0.0
    """From the check that decides until answers follow it, for the prediction"""


class Dns(Strict, frozen=True):
    """The name in front of the cluster."""

    balancer: Literal["health-checked", "round-robin", "engine", "external"] = "health-checked"
    part: str | None = None
    ttl_s: Seconds = 1.0
    order: Annotated[tuple[str, ...], DISTINCT] = ()
    weights: dict[str, float] = {}
    check: DnsCheck = DnsCheck()
    fail_open: bool = False
    """With every health check failing, the name answers with all its nodes, as managed name services and proxies do; else with none."""
    external: ExternalDns | None = None
    """Goes with ``balancer: external``"""

    @property
    def ours(self) -> bool:
        """Whether a name server of ours answers."""
        return self.balancer in ("health-checked", "round-robin")

    @property
    def checks(self) -> bool:
        """Whether nodes that fail ``check`` are taken out."""
        return self.balancer == "health-checked" or (self.external is not None and self.external.health_checked)


class Resources(Strict, frozen=True):
    """What each node may use at most; None: no limit."""

    cpus: Annotated[float, msgspec.Meta(gt=0)] | None = None
    memory_bytes: Bytes | None = None
    disk_bytes: Bytes | None = None
    """Of each of its data folders, which are then kept in memory."""


def _project(written_as: str, value: Value) -> str:
    """The project's name; for a file the one that compose gives it: its own word, the environment's, or that of its folder."""
    if not written_as.endswith(_FILES):
        if not PROJECT.fullmatch(written_as):
            raise BadInput(f"'{written_as}' is not the name of a compose project", place=value.place, right="shop, or compose.yaml")
        return written_as
    path = Path(value.place.file).parent / written_as
    try:
        return compose_project(path, os.environ)
    except BadInput as refusal:
        right = refusal.right or f"the compose file of what runs; {path} was looked at"
        raise BadInput(refusal.message, place=value.place, right=right) from None


_COMPOSE: Final = string("a compose project or file").then(
    _project, {"pattern": anchored("|".join([PROJECT.pattern, *(rf".*\{ending}" for ending in _FILES)]))}
)


def _check_attach(entry: Table) -> None:
    label, compose, services = entry.get("label"), entry.get("compose"), entry.get("services")
    pods = entry.get("kubernetes")
    if (label is not None) + (compose is not None) + (pods is not None) != 1:
        what = "'attach' names its containers by 'label' or by 'compose', or pods by 'kubernetes'"
        raise BadInput(what, place=entry.place, right="attach: {label: app=web}")
    network = entry.get("network")
    if pods is not None and network is not None:
        raise BadInput("pods have one network", place=network.place, right="leave it out")
    if compose is None and services is not None:
        raise BadInput("'services' goes with 'compose'", place=services.place, right="attach: {compose: shop, services: [web]}")
    if compose is not None and services is None:
        raise BadInput("nothing says which services", place=compose.place, right="services: [web]")


_BY_LABEL_OR_COMPOSE: Final = Rule(
    _check_attach,
    {
        "oneOf": [given("label"), given("compose"), given("kubernetes")],
        "allOf": [
            {"if": given("compose"), "then": given("services"), "else": {"not": given("services")}},
            {"not": {"allOf": [given("kubernetes"), given("network")]}},
        ],
    },
)


def _attach(found: dict[str, Any], _: Table) -> AttachSpec:
    """Services that are written by part are known by part, and all of them together."""
    services = found.get("services", ())
    if isinstance(services, dict):
        every = tuple(dict.fromkeys(name for some in services.values() for name in some))
        found = found | {"services": every, "groups": services}
    if isinstance(found.get("ready"), dict):
        found = found | {"ready": None, "asked": found["ready"]}
    return AttachSpec(**found)


@Written(rules=(_BY_LABEL_OR_COMPOSE,), blank=True, inline=True, make=_attach)
class AttachSpec(Strict, frozen=True):
    """Containers that already run: those with a ``label``, those of some ``services`` of a compose ``project``, or of some ``kubernetes``
    pods."""

    label: Annotated[str, _LABEL] = ""
    """``app=web``, or ``app`` alone for any value."""
    project: Annotated[str, _COMPOSE, Key("compose")] = ""
    """A compose project, by its name or its file"""
    services: Annotated[tuple[str, ...], _SERVICES] = ()
    """By name or pattern. Several are one part, unless ``parts`` or the target names them as parts, or they are written by part"""
    asked: Annotated[dict[str, Ask], UNWRITTEN] = {}
    """Part -> its own question, where they are written so."""
    groups: Annotated[dict[str, tuple[str, ...]], UNWRITTEN] = {}
    """Part -> its services, where they are written so."""
    labels: Annotated[dict[str, dict[str, str]], UNWRITTEN] = {}
    """Node -> what it was labelled with when that was asked for a selector (``plan.placing``)."""
    pods: Annotated[PodsSpec | None, Key("kubernetes")] = None
    """Pods of a Kubernetes cluster"""
    name: Annotated[str, WORDS] = ""
    """What clients resolve, where the operations do not say."""
    network: Annotated[str, WORDS] = ""
    """Which of their networks is meant, where they share several."""
    ready: Annotated[Ask | None, _ATTACHED_READY] = None
    """How a node is asked whether it answers, where the operations do not show it; a question for each part; or ``process``, for nodes of
    which nothing but their process is known"""
    within_s: Seconds = 20.0
    """How long a container may take until it answers, before the run and after a fault that ended it."""
    roles: Annotated[dict[str, Ask], mapping(table(Ask))] = {}
    """Asked of each node; it has the role if the expression holds: ``leader: {http: ..., json: "state=leader"}``."""
    ports: Annotated[tuple[int, ...], _PORTS] = ()
    """Where they listen beside the port that is asked: a link is harmed at all of them."""

    @property
    def kind(self) -> str:
        """What of: ``containers`` of a Docker engine, or ``pods`` of a Kubernetes cluster."""
        return "containers" if self.pods is None else "pods"

    def services_of(self, part: str, parts: Collection[str]) -> tuple[str, ...]:
        """The services (names, patterns) that are this one of the cluster's parts; none for containers that are found by a label."""
        if self.groups:
            return self.groups[part]
        return self.services if len(parts) == 1 or not self.services else (part,)


def _check_cluster(entry: Table) -> None:
    nodes, parts, networks, hosts, ours = (entry.get(key) for key in ("nodes", "parts", "networks", "hosts", "kubernetes"))
    if nodes is not None and parts is not None:
        raise BadInput("'nodes' and 'parts' exclude each other", place=parts.place, right="nodes: 3, or parts: {data: 3}")
    if entry.get("attach") is None:
        _TARGET.read(entry.need("target", "target: replicated_kv"))
    elif hosts is not None:
        right = "leave 'hosts' out, or start a target of yours on them"
        raise BadInput("what already runs is attached to on one engine", place=hosts.place, right=right)
    elif ours is not None:
        right = "leave it out; attach: {kubernetes: {namespace: shop, service: store}} says where they are"
        raise BadInput("pods that already run stand where they stand", place=ours.place, right=right)
    elif networks is not None:
        right = "leave it out; attach: {network: NAME} says which of them is meant"
        raise BadInput("containers that already run have the networks that they have", place=networks.place, right=right)


_ONE_COUNT_AND_TARGET: Final = Rule(
    _check_cluster,
    {
        "allOf": [
            {"if": given("attach"), "then": {"not": there("networks", "hosts", "kubernetes")}, "else": given("target")},
            {"not": {"allOf": [given("nodes"), given("parts")]}},
        ]
    },
)


def _cluster(found: dict[str, Any], _: Table) -> ClusterSpec:
    """What already runs is found by its containers' own names, and need not be a target of ours."""
    if found.get("attach"):
        found = {"target": ATTACHED, "dns": Dns(balancer="engine")} | found
    return ClusterSpec(**found)


@Written(rules=(_ONE_COUNT_AND_TARGET,), blank=True, inline=True, make=_cluster)
class ClusterSpec(Strict, frozen=True):
    """What to start, or with ``attach`` what runs already."""

    target: Annotated[str, _TARGET, Key(missing=True)]
    """A name that ``nines targets`` lists, or the path of a folder"""
    nodes: Annotated[int | None, COUNT] = None
    """How many; they are called n1, n2..."""
    parts: Annotated[dict[str, int], mapping(COUNT)] = {}
    """How many of each part; they are called data-1, data-2..."""
    settings: Annotated[dict[str, str], mapping(WORDS)] = {}
    """Values for the settings that the target declares"""
    zones: Annotated[dict[str, tuple[str, ...]], mapping(_NODES)] = {}
    """Groups of nodes by name"""
    dns: Dns = Dns()
    runtime: Annotated[str, _RUNTIME] = "auto"
    """Where nodes run"""
    resources: Resources = Resources()
    attach: AttachSpec | None = None
    networks: Annotated[tuple[str, ...], _NETWORKS] = ()
    """Of each node, by name. Clients stand on the first, nodes talk to each other on the last; none named: all share one."""
    hosts: Annotated[dict[str, HostSpec], HOSTS] = {}
    """Several Docker hosts by name, each with its engine; each is a zone"""
    kubernetes: OursSpec = OursSpec()
    """Where its pods stand, with ``runtime: kubernetes``"""

    def spares_peers(self, network: object) -> bool:
        """Whether a cut of this network alone leaves the nodes the one that they talk to each other on."""
        return bool(network) and network != self.networks[-1]
