"""What of a plan comes from ``cluster`` and ``traffic``: nodes, settings, operations, model parameters; each checked."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from types import MappingProxyType

from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.core.units import WrongUnit, duration_s
from chaos.core.values import LEADER
from chaos.experiment import parameters
from chaos.experiment.cluster import Dns
from chaos.experiment.document import Experiment
from chaos.experiment.overrides import located
from chaos.experiment.schedules import SHORTEST_S
from chaos.experiment.settling import OK
from chaos.experiment.source import locate
from chaos.experiment.target import templates
from chaos.experiment.target.check import check_operation, defaults, operation_words, sample, setting_text
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.question import prepare
from chaos.experiment.target.spec import Ask, Setting, Target
from chaos.plan.plan import Parameter, PlannedNode
from chaos.plugin import Surrounding


def refuse(experiment: Experiment, path: str, message: str, right: str = "") -> BadInput:
    """The error for something wrong at a path of the experiment's file."""
    return BadInput(message, place=located(experiment.file, experiment.overrides, path), right=right)


def known_or_refuse(experiment: Experiment, path: str, what: str, name: str, known: Collection[str]) -> None:
    """Raise unless the name is one of those."""
    if name not in known:
        raise refuse(experiment, path, f"there is no {what} '{name}'", suggest(name, known) if known else f"there is no {what} to name")


# --- nodes -------------------------------------------------------------------------------------------------------------


def planned_nodes(experiment: Experiment, target: Target) -> tuple[PlannedNode, ...]:
    """n1.. for a system of one part, data-1.. for several; in the order of the target's parts."""
    counts = _counts(experiment, target)
    several = len(target.parts) > 1
    names = [(f"{part}-{i}" if several else f"n{i}", part) for part, count in counts.items() for i in range(1, count + 1)]
    for number, step in enumerate(target.init):
        of_part = step.part or next(iter(target.parts))
        place = Place(f"{target.folder}/target.yaml", None, f"init[{number}].node")
        try:
            step.nodes_among([name for name, part in names if part == of_part])
        except BadInput as refusal:
            raise BadInput(refusal.message, place=place, right=refusal.right) from None
    zones = _zones(experiment, [name for name, _ in names])
    attach = experiment.cluster.attach
    hosts = experiment.cluster.kubernetes.stand if attach is None else attach.pods.stand if attach.pods is not None else {}
    if experiment.cluster.hosts:
        zones = _hosts(experiment, names, zones)
    labels = {} if attach is None else attach.labels
    return tuple(PlannedNode(name, part, zones.get(name), hosts.get(name), labels.get(name)) for name, part in names)


def _counts(experiment: Experiment, target: Target) -> dict[str, int]:
    cluster = experiment.cluster
    counts = {name: part.nodes.default for name, part in target.parts.items()}
    for part, count in cluster.parts.items():
        known_or_refuse(experiment, f"cluster.parts.{part}", "part", part, target.parts)
        counts[part] = count
    if cluster.nodes is not None:
        if len(target.parts) > 1:
            right = "parts: {" + ", ".join(f"{name}: {count}" for name, count in counts.items()) + "}"
            raise refuse(experiment, "cluster.nodes", f"'{target.name}' has {len(target.parts)} parts, say how many of each", right)
        counts = dict.fromkeys(target.parts, cluster.nodes)
    for name, declared in target.parts.items():
        if not declared.nodes.min <= counts[name] <= declared.nodes.max:
            path = "cluster.nodes" if cluster.nodes is not None else f"cluster.parts.{name}"
            right = f"{declared.nodes.min} to {declared.nodes.max}"
            raise refuse(experiment, path, f"'{target.name}' cannot run with {counts[name]} nodes in part '{name}'", right)
    return counts


def _zones(experiment: Experiment, names: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for zone, members in experiment.cluster.zones.items():
        for node in members:
            known_or_refuse(experiment, f"cluster.zones.{zone}", "node", node, names)
            if node in found:
                raise refuse(experiment, f"cluster.zones.{zone}", f"{node} is in zone '{found[node]}' already", "each node in one zone")
            found[node] = zone
    return found


def zones_of(experiment: Experiment) -> Collection[str]:
    """Their names: hosts, where there are several."""
    return experiment.cluster.hosts or experiment.cluster.zones


def _hosts(experiment: Experiment, names: Sequence[tuple[str, str]], zones: Mapping[str, str]) -> dict[str, str]:
    """By the zones, which are then hosts and hold every node; else the nodes of each part in turn."""
    hosts = list(experiment.cluster.hosts)
    for zone in experiment.cluster.zones:
        known_or_refuse(experiment, f"cluster.zones.{zone}", "host", zone, hosts)
    homeless = [name for name, _ in names if name not in zones]
    if zones and homeless:
        raise refuse(experiment, "cluster.zones", f"{', '.join(homeless)}: on no host", "each node on one host, or no 'zones': in turn")
    if zones:
        return dict(zones)
    found, turn = {}, {part: itertools.cycle(hosts) for _, part in names}
    for name, part in names:
        found[name] = next(turn[part])
    return found


def check_dns(experiment: Experiment, target: Target) -> str:
    """The part behind the name, after checking everything said about the name."""
    dns = experiment.cluster.dns
    part = dns.part or next(iter(target.parts))
    known_or_refuse(experiment, "cluster.dns.part", "part", part, target.parts)
    if dns.ttl_s != int(dns.ttl_s):
        raise refuse(experiment, "cluster.dns.ttl", f"a time to live of {dns.ttl_s:g}s cannot be sent", "DNS counts whole seconds")
    zones = zones_of(experiment)
    for zone in dns.order:
        known_or_refuse(experiment, "cluster.dns.order", "zone", zone, zones)
    for zone, weight in dns.weights.items():
        known_or_refuse(experiment, f"cluster.dns.weights.{zone}", "zone", zone, zones)
        if weight <= 0:
            raise refuse(experiment, f"cluster.dns.weights.{zone}", f"a weight of {weight:g} sends nobody there", "more than 0")
    if dns.fail_open and dns.balancer != "health-checked":
        message = f"a name that is balanced by '{dns.balancer}' has no checks that could all fail"
        raise refuse(experiment, "cluster.dns.fail_open", message, "leave it out, or balancer: health-checked")
    if dns.order and dns.weights:
        raise refuse(experiment, "cluster.dns.weights", "'order' and 'weights' exclude each other", "one of them")
    if dns.balancer == "engine" and experiment.cluster.hosts:
        message = "the names of an engine end at that engine, and the nodes stand on several"
        raise refuse(experiment, "cluster.dns.balancer", message, "health-checked, or round-robin")
    _check_health(experiment, target, dns)
    _check_external(experiment, target, dns, part)
    return part


def _check_external(experiment: Experiment, target: Target, dns: Dns, served: str) -> None:
    path, external = "cluster.dns.external", dns.external
    if (external is not None) != (dns.balancer == "external"):
        right = "balancer: external, with external: {part: names, name: www.shop.test}"
        raise refuse(experiment, "cluster.dns.balancer", "'external' says which name service answers, and goes with its balancer", right)
    if external is None:
        return
    if (external.part is None) == (external.server is None):
        raise refuse(experiment, path, "one of 'part' and 'server' says who answers", 'part: names, or server: "192.0.2.1:53"')
    if external.part is not None:
        known_or_refuse(experiment, f"{path}.part", "part", external.part, target.parts)
        known_or_refuse(experiment, f"{path}.port", "port", external.port, target.parts[external.part].ports)
        if external.part == served:
            raise refuse(experiment, f"{path}.part", f"the name stands for the nodes of '{served}'", "the part whose nodes answer DNS")
    elif external.server is not None and not _is_server(external.server):
        raise refuse(experiment, f"{path}.server", f"'{external.server}' is no address with a port", '"192.0.2.1:53"')


def _is_server(text: str) -> bool:
    host, _, port = text.rpartition(":")
    try:
        ip_address(host)
    except ValueError:
        return False
    return port.isascii() and port.isdecimal() and 0 < int(port) < 65_536


def _check_health(experiment: Experiment, target: Target, dns: Dns) -> None:
    check, path = dns.check, "cluster.dns.check"
    if check.what.startswith("role:"):
        known_or_refuse(experiment, f"{path}.what", "role", check.what.removeprefix("role:"), target.roles)
    elif check.what != "ready" and not check.what.startswith("/"):
        raise refuse(experiment, f"{path}.what", f"'{check.what}' is not a check", "ready, role:leader, or a path such as /health")
    for key, value in {"every": check.every_s, "timeout": check.timeout_s}.items():
        if value < SHORTEST_S:
            raise refuse(experiment, f"{path}.{key}", f"{value:g}s is out of range", "at least 1ms")
    for key, count in {"fall": check.fall, "rise": check.rise}.items():
        if count < 1:
            raise refuse(experiment, f"{path}.{key}", f"{count} is out of range", "at least 1")


# --- settings and parameters -------------------------------------------------------------------------------------------


def planned_settings(experiment: Experiment, target: Target) -> dict[str, str]:
    """Every setting of the target, as text: the experiment's word, else the default."""
    given = experiment.cluster.settings
    for name, text in given.items():
        path = f"cluster.settings.{name}"
        known_or_refuse(experiment, path, "setting", name, target.settings)
        right = _wrong_setting(target.settings[name], text)
        if right:
            raise refuse(experiment, path, f"'{text}' is not a value of '{name}'", right)
    return {**defaults(target.settings), **given}


def _wrong_setting(setting: Setting, text: str) -> str:
    """What would be right, if the text is of another kind than the default; empty if it is fine."""
    if setting.choices:
        return "" if text in setting.choices else suggest(text, setting.choices)
    if isinstance(setting.default, bool):
        return "" if text in ("true", "false") else "true or false"
    if isinstance(setting.default, int | float):
        kind = type(setting.default)
        return "" if _reads(kind, text) else f"a {'whole ' if kind is int else ''}number, such as {setting_text(setting.default)}"
    if _reads(duration_s, setting.default) and not _reads(duration_s, text):
        return f"a duration, such as {setting.default}"
    return ""


def _reads(parse: type[int] | type[float] | object, text: str) -> bool:
    assert callable(parse)
    try:
        parse(text)
    except (ValueError, WrongUnit):
        return False
    return True


def planned_parameters(
    experiment: Experiment, target: Target, settings: dict[str, str], around: Mapping[str, Surrounding] = MappingProxyType({})
) -> tuple[str, tuple[Parameter, ...]]:
    """The replication, and every further parameter that experiment, target or runtime (``around``) say, each with its origin."""
    context = templates.Context(node="", address="", ports={}, settings=settings)
    replication = "quorum" if LEADER in target.roles else "none"
    found: list[Parameter] = []
    for key in parameters.KNOWN:
        if key in experiment.predict.parameters:
            text, origin, place = (
                experiment.predict.parameters[key],
                "experiment",
                located(experiment.file, experiment.overrides, f"predict.parameters.{key}"),
            )
        elif key in target.model:
            text = templates.fill(target.model[key], context)
            origin, place = "target", Place(f"{target.folder}/target.yaml", None, f"model.{key}")
        elif key in around:
            text, origin, place = around[key].text, around[key].origin, None
        else:
            continue
        try:
            given = parameters.read(key, text)
        except BadInput as refusal:
            raise BadInput(refusal.message, place=place, right=refusal.right) from None
        if key == "replication":
            replication = given.word
            continue
        high = given.high if given.high > given.low else None
        found.append(Parameter(name=given.name, value=given.low, unit=given.unit, origin=origin, high=high, word=given.word))
    return replication, tuple(found)


# --- traffic -----------------------------------------------------------------------------------------------------------


def planned_operations(
    experiment: Experiment, target: Target, part: str, settings: dict[str, str], *, here: bool
) -> dict[str, OperationKind]:
    """What each service of the experiment asks, each read by its own probe; ``part`` is the one whose ports clients know."""
    found: dict[str, OperationKind] = {}
    words = operation_words(target, target.parts[part].ports, settings)
    for name, spec in experiment.traffic.operations.items():
        if spec.probe is not None:
            kind = OperationKind(probe=spec.probe, does=spec.does or "read", options=spec.options)
            place, path = partial(located, experiment.file, experiment.overrides), f"traffic.operations.{name}"
        else:
            known_or_refuse(experiment, f"traffic.operations.{name}", "operation", name, target.operations)
            kind, path = target.operations[name], f"operations.{name}"
            place = partial(locate, f"{target.folder}/target.yaml")
        check_operation(kind, path, words, sample(target, part, settings), target.folder, place, here=here)
        found[name] = kind
    return found


def judged(experiment: Experiment) -> str:
    """The service that objectives speak of; it must be said when there are several."""
    traffic = experiment.traffic
    if traffic.judge is not None:
        known_or_refuse(experiment, "traffic.judge", "operation", traffic.judge, traffic.operations)
        return traffic.judge
    if len(traffic.operations) > 1:
        right = f"judge: {next(iter(traffic.operations))}"
        raise refuse(experiment, "traffic", "with several operations, 'judge' says of which the objectives speak", right)
    return next(iter(traffic.operations))


def _check_connections(experiment: Experiment) -> None:
    """What clients do with their connections goes together."""
    client, path = experiment.traffic.client, "traffic.client"
    if client.pool is not None and not client.keep_alive:
        message = "a pool keeps its connections, and 'keep_alive: false' closes each"
        raise refuse(experiment, f"{path}.keep_alive", message, "one of them; pool: {lifetime: 1s} closes them often")
    if client.pool is not None and client.endpoints is not None and client.endpoints.order != "random":
        message = f"a pool uses its connections in turn, so there is no '{client.endpoints.order}' order"
        raise refuse(experiment, f"{path}.endpoints", message, "order: random, or no pool")
    if client.resolve_on_error and (client.endpoints is not None or client.resolve == "per-request"):
        why = "'endpoints' asks no name" if client.endpoints is not None else "'resolve: per-request' asks before each attempt"
        raise refuse(experiment, f"{path}.resolve_on_error", why, "leave resolve_on_error out")
    if client.backoff is not None and client.backoff.most_s < client.backoff.first_s:
        message = "the first wait is longer than the longest"
        raise refuse(experiment, f"{path}.backoff.most", message, f"at least {client.backoff.first_s:g}s")
    if client.attempts == 1 and (client.backoff is not None or client.retry_budget is not None):
        key = "backoff" if client.backoff is not None else "retry_budget"
        raise refuse(experiment, f"{path}.{key}", "one attempt is followed by no other", "attempts: 3")


def check_clients(
    experiment: Experiment, nodes: Sequence[PlannedNode], part: str, operations: Mapping[str, OperationKind], *, virtual: bool
) -> None:
    """The clients' policy can be carried out: the nodes exist, the probes have such connections, and so does the runtime."""
    client, path = experiment.traffic.client, "traffic.client"
    members = [node.name for node in nodes if node.part == part]
    for name in client.endpoints.nodes if client.endpoints is not None else ():
        if name not in members:
            right = suggest(name, members)
            raise refuse(experiment, f"{path}.endpoints", f"'{name}' is no node of the part '{part}', which clients ask", right)
    asked = {"pool": client.pool is not None, "timeout": client.patient, "keep_alive": not client.keep_alive, "redirects": client.redirects}
    for key in [key for key, wanted in asked.items() if wanted]:
        if virtual:
            raise refuse(
                experiment, f"{path}.{key}", f"virtual clients have no connections, so '{key}' means nothing to them", "runtime: local"
            )
        for name, kind in operations.items():
            if kind.probe not in ("http", "etcd") or (key == "redirects" and kind.probe != "http"):
                message = f"'{key}' is for connections of the probe http; {name} is asked by '{kind.probe}'"
                raise refuse(experiment, f"{path}.{key}", message, "leave it out")


def check_settling(experiment: Experiment, ports: Collection[str], *, virtual: bool) -> None:
    """The condition before the next fault can be asked."""
    until, path = experiment.settle_until, "settle.until"
    if until is None:
        return
    if until.service is not None and until.service != OK:
        known_or_refuse(experiment, f"{path}.service", "operation", until.service, [*experiment.traffic.operations, OK])
    if until.command is not None and shutil.which(until.command[0]) is None:
        right = "put it on PATH, or write its path; it is started without a shell"
        raise refuse(experiment, f"{path}.command", f"there is no program '{until.command[0]}'", right)
    if until.http is None:
        return
    if virtual:
        raise refuse(experiment, f"{path}.http", "virtual nodes answer no question", "until: {service: ok}, or runtime: local")
    words = {"address": "127.0.0.1", "node": "n1"} | dict.fromkeys(ports, "80")
    unknown = [word for word in re.findall(r"\{(\w+)\}", until.http) if word not in words]
    if unknown:
        raise refuse(experiment, f"{path}.http", f"unknown word '{{{unknown[0]}}}'", suggest(unknown[0], words))
    try:
        prepare(Ask(http=re.sub(r"\{(\w+)\}", lambda match: words[match[1]], until.http), status=until.status, json=until.json))
    except BadInput as refusal:
        raise refuse(experiment, f"{path}.http", refusal.message, refusal.right) from None


def check_traffic(experiment: Experiment) -> None:
    """The clients' policy and the outage rule make sense."""
    client, path = experiment.traffic.client, "traffic.client"
    if client.attempts < 1:
        raise refuse(experiment, f"{path}.attempts", f"{client.attempts} attempts ask nothing", "at least 1")
    if client.timeout_s < SHORTEST_S:
        raise refuse(experiment, f"{path}.timeout", f"a time-out of {client.timeout_s:g}s ends before it begins", "at least 1ms")
    _check_connections(experiment)
    if client.timeout_s > client.deadline_s and not client.patient:
        message = f"an attempt may take {client.timeout_s:g}s, and the whole slot only {client.deadline_s:g}s"
        raise refuse(experiment, f"{path}.deadline", message, f"deadline at least {client.timeout_s:g}s")
    rule = experiment.traffic.outage
    for key, count in {"open": rule.open, "close": rule.close}.items():
        if count < 1:
            raise refuse(experiment, f"traffic.outage.{key}", f"{count} is out of range", "at least 1")
    if experiment.slo.latency_s is None and any(objective.measure == "slo_ratio" for objective in experiment.objectives):
        raise refuse(
            experiment, "objectives.slo_ratio", "'slo_ratio' counts answers within a latency that is not given", "slo: {latency: 300ms}"
        )
