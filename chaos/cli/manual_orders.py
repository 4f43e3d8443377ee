"""From the words of ``nines inject`` to a plan with that one fault: read and checked as an experiment's own fault would be.

nines inject latency --to "clients -> n2" --for 10s --set latency=50ms
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from chaos.api import Ordered, order_text
from chaos.core import plugins as tables
from chaos.core.capabilities import NOT_BY_HAND, ON_DEMAND, Capability
from chaos.core.errors import BadInput, CapabilityMissing, Place
from chaos.core.values import CLIENTS, DNS, Link
from chaos.experiment.labels import LABELS
from chaos.experiment.source import TEXT, Scalar
from chaos.plan.capabilities import attaching, needed, offered, runtime_of
from chaos.plan.plan import Plan
from chaos.plan.traits import made
from chaos.run.manual.socket import HandOrder

NAME: Final = "by-hand"
_KEPT: Final = ("experiment", "question", "cluster", "traffic", "limits")
"""What of an experiment says what its cluster is; the rest is about measuring."""
_BEFORE_CLIENTS: Final = frozenset({Capability.NAME_SET})
"""What must stand there before the first request, where names are not ours."""
_OF_SERVICE: Final = re.compile(r"([A-Za-z0-9._-]+)=([a-z]+://.*)")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What may be a container's name (the engine's own rule)."""
_LABEL: Final = re.compile(r"label:\s*(?P<labels>[^{\s].*)", re.DOTALL)
"""A selector by labels in short: ``label:tier=cache``."""
_LABELLED: Final = re.compile(r"\s*(label:|\{.*\blabel['\"]?\s*:)", re.DOTALL)


def written(kind: str, to: str | None, lasts: str, fields: Sequence[str]) -> HandOrder:
    """The order in these words; ``BadInput`` for a fault that does not exist or a field without a value."""
    tables.find("faults", kind)
    pairs = [each.partition("=") for each in fields]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise BadInput(f"--set '{name}' has no value", right="--set latency=50ms")
    if (short := _LABEL.fullmatch((to or "").strip())) is not None:  # before anything is asked of an engine or started in a cluster
        LABELS.read(Scalar(Place("--to"), short["labels"], TEXT))
    return HandOrder(kind, to or "", lasts, {name: value for name, _, value in pairs})


def planned(ordered: Ordered, hand: HandOrder) -> Plan:
    """The experiment of a cluster that is up, with this fault instead of its own, at once."""
    tables.find("faults", hand.kind)
    own = {spec.kind for spec in ordered.experiment.faults}
    document = {key: value for key, value in yaml.safe_load(ordered.text).items() if key in _KEPT}
    plan = _order(document, hand, Path(ordered.experiment.file), ordered.plan.runtime).plan
    (spec,) = plan.experiment.faults
    needs = made(spec).needs
    if hand.kind not in own and needs & ON_DEMAND:
        raise CapabilityMissing(
            f"this cluster is not prepared for '{hand.kind}'", how="start an experiment that names this fault: nines up X.yaml"
        )
    attached = plan.experiment.cluster.attach is not None
    starts = Capability.STARTS in offered(runtime_of(plan.runtime), attached=attached)
    for need, (what, how) in NOT_BY_HAND.items():
        if need is Capability.RESTART_POLICY and not starts:
            continue  # somebody else starts nodes again there, whoever holds the cluster
        if need in needs:
            raise CapabilityMissing(what, how=how)
    refuse_held(plan, needed(ordered.plan))
    return plan


def refuse_held(plan: Plan, known: frozenset[Capability] = frozenset()) -> None:
    """``CapabilityMissing`` for a fault that its runtime does in runs alone. ``known``: what the held cluster was prepared for."""
    if lack := runtime_of(plan.runtime).held_lacks(plan, known):
        raise CapabilityMissing(lack[0], how=lack[1])


def prepared(ordered: Ordered) -> Plan:
    """The plan of a cluster that is held: nothing is due, and every link that could be harmed can be."""
    plan, target = ordered.plan, ordered.target
    names = [node.name for node in plan.nodes]
    ends = [CLIENTS, DNS] if plan.experiment.cluster.dns.ours else [CLIENTS]
    pairs = [*((end, name) for end in ends for name in names), *itertools.permutations(names, 2)]
    runtime = runtime_of(plan.runtime)
    links = [link for link in itertools.starmap(Link, pairs) if not runtime.link_lacks(link, target)]
    kept = tuple(spec for spec in plan.experiment.faults if made(spec).needs & (ON_DEMAND | _BEFORE_CLIENTS))
    experiment = msgspec.structs.replace(plan.experiment, faults=kept)
    every = tuple(sorted(links))
    return msgspec.structs.replace(plan, experiment=experiment, windows=(), looks_s=(), links=every, proxied=every)


def attached(
    hand: HandOrder,
    *,
    label: str | None = None,
    compose: str | None = None,
    services: Sequence[str] = (),
    ask: Sequence[str] = (),
    send: str = "",
    expect: str = "",
    ports: Sequence[int] = (),
    network: str | None = None,
    pods: dict[str, Any] | None = None,
) -> Ordered:
    """A plan for containers that run already, as many as there are."""
    what: dict[str, Any] = {}
    if pods is not None:
        what["kubernetes"] = pods
    elif label is not None:
        word, equals, rest = label.partition("=")
        if word != "label" or not equals or not rest:
            raise BadInput(f"--attach '{label}' is not a label", right="--attach label=app=web")
        what["label"] = rest
    else:
        what |= {"compose": compose, "services": list(services)}
    if network:
        what["network"] = network
    if ports:
        what["ports"] = list(ports)
    operation = _asked(what, ask, send, expect)
    cluster = {"attach": what}
    document = {"experiment": NAME, "question": "A fault by hand.", "cluster": cluster, "traffic": {"operations": {"asked": operation}}}
    found = _running(document)
    counts = {part: len(names) for part, names in found.items()}
    several = len(found) > 1
    document["cluster"] = cluster | ({"parts": counts} if several else {"nodes": next(iter(counts.values()))})
    by_container = {
        name: f"{part}-{number}" if several else f"n{number}" for part, names in found.items() for number, name in enumerate(names, 1)
    }
    return _order(document, msgspec.structs.replace(hand, to=by_nodes(hand.to, by_container)), Path("by-hand.yaml"), None)


def _asked(what: dict[str, Any], ask: Sequence[str], send: str, expect: str) -> dict[str, Any]:
    """What clients would ask, and in ``what`` how nodes are asked: by one question, by one for each service, or not at all."""
    from chaos.tryout.probe import question_of

    named = {match[1]: match[2] for each in ask if (match := _OF_SERVICE.fullmatch(each)) is not None}
    plain = [each for each in ask if _OF_SERVICE.fullmatch(each) is None]
    if len(plain) > 1 or (plain and named):
        raise BadInput("several questions, and nothing says of which service each is", right="--ask web=http://{address}:8080/ --ask ...")
    if plain:
        found = question_of(plain[0], send, expect)
        what["ready"] = found.asked
        return found.operation | {"rate": "1/s"}
    if named:
        services = what.get("services") or []
        strange = next((name for name in named if name not in services), None)
        if strange is not None:
            raise BadInput(
                f"--ask names '{strange}', which is no service", right=" ".join(f"--service {name}" for name in [*services, strange])
            )
        silent = [name for name in services if name not in named]
        if silent:
            raise BadInput(f"no question for {', '.join(silent)}", right=f"--ask {silent[0]}=http://{{address}}:8080/")
        asked = {name: question_of(url, send, expect) for name, url in named.items()}
        what["services"] = {name: [name] for name in services}
        what["ready"] = {name: each.asked for name, each in asked.items()}
        return next(iter(asked.values())).operation | {"rate": "1/s"}
    if send or expect:
        raise BadInput("--send and --expect go with a question", right="--ask tcp://{address}:6379")
    what["ready"] = "process"
    return {"driver": "true get", "rate": "1/s"}


def by_nodes(selector: str, containers: Mapping[str, str]) -> str:
    """The selector with each container's name as the node that it is: ``clients -> shop-web-2`` is ``clients -> n2``.

    Labels stay as they are: a label's value may be the name of a container.
    """
    if _LABELLED.match(selector):
        return selector
    return _WORD.sub(lambda word: containers.get(word[0], word[0]), selector)


def _running(document: dict[str, Any]) -> dict[str, list[str]]:
    """The names of the containers of each part that run, by the word of the runtime that attaches to such."""
    from chaos.experiment.document import parse_experiment

    try:
        attach = parse_experiment(yaml.safe_dump(document, sort_keys=False), "by-hand.yaml").cluster.attach
    except BadInput as refusal:
        raise BadInput(refusal.message, right=refusal.right) from None
    assert attach is not None
    found = attaching(attach).running(attach)
    missing = [attach.label or name for name, names in found.items() if not names]
    if missing:
        raise BadInput(f"no container runs for {', '.join(missing)}", right="start them first: 'nines inject' starts no container")
    return found


def _order(document: dict[str, Any], hand: HandOrder, file: Path, runtime: str | None) -> Ordered:
    """Places are left out of refusals: nobody wrote this file."""
    fault: dict[str, Any] = {hand.kind: {name: _value(value) for name, value in hand.fields.items()}, "at": "0s", "for": hand.lasts}
    if hand.to:
        fault["target"] = _target(hand.to)
    text = yaml.safe_dump(document | {"baseline": "0s", "settle": "0s", "faults": [fault]}, sort_keys=False)
    try:
        return order_text(text, file, runtime=runtime)
    except BadInput as refusal:
        raise BadInput(refusal.message, right=refusal.right) from None


def _target(to: str) -> object:
    """A selector as YAML has it: a link and labels are mappings, and may be written without braces."""
    if (short := _LABEL.fullmatch(to.strip())) is not None:
        return {"label": short["labels"]}
    return {"link": to} if "->" in to and not to.lstrip().startswith("{") else _value(to)


def _value(written_as: str) -> object:
    """A list or a mapping as in YAML; all else stays the text that it is."""
    if not written_as.lstrip().startswith(("[", "{")):
        return _plain(written_as)
    try:
        return yaml.safe_load(written_as)
    except yaml.YAMLError as error:
        raise BadInput(f"'{written_as}' cannot be read: {error}") from None


def _plain(written_as: str) -> object:
    """Numbers and truth values are written without quotes in YAML."""
    if written_as in ("true", "false"):
        return written_as == "true"
    try:
        return int(written_as)
    except ValueError:
        return written_as
