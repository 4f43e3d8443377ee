"""From an experiment's YAML to an ``Experiment``: every key, type, unit and range checked, with ``file:line: path`` in each refusal.

What cannot be known from the file alone (does the node exist, does the target know the operation) is for ``planning``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chaos.core import plugins as tables
from chaos.core.errors import BadInput
from chaos.core.units import DURATION, EXAMPLE, PERCENT, RATE
from chaos.experiment.decode import integer, quantity, struct, texts
from chaos.experiment.reading.abort import abort_if
from chaos.experiment.reading.attach import ATTACHED, attach
from chaos.experiment.reading.faults import NAME, faults
from chaos.experiment.reading.objectives import objective
from chaos.experiment.reading.production import predict
from chaos.experiment.source import Table, Value, parse, read_text, suggest, table, text, what_is
from chaos.experiment.spec import (
    AbortIf,
    AttachSpec,
    ClientPolicy,
    ClusterSpec,
    Dns,
    Experiment,
    Limits,
    OperationSpec,
    OutageRule,
    PredictSpec,
    Resources,
    Slo,
    TrafficSpec,
)
from chaos.experiment.target.load import operation

MOST_ERRORS: Final = 0.5
"""A system of which every second request fails has no quiet time to compare with."""
_KEYS: Final = (
    "experiment", "question", "cluster", "traffic", "baseline", "faults", "settle", "limits", "seed", "duration", "slo", "predict",
    "objectives", "abort_if", "expect_verdict",
)  # fmt: skip
MOST_PER_S: Final = 20_000.0
"""Of one operation: more than a prober on one core can send."""
_LATER: Final = {"data": "leave it out: acknowledged writes are not checked after the run"}
_CLUSTER: Final = ("target", "nodes", "parts", "settings", "zones", "dns", "runtime", "resources", "attach", "networks")
_MOST_NETWORKS: Final = 4
"""Each of them takes a bridge and a subnet of the engine's, for every run."""
VERDICTS: Final = ("pass", "fail", "unknown")
MOST_SEED: Final = 2**53 - 1


def experiment_text(path: Path) -> str:
    """The file as given, for the run folder; ``BadInput`` if it cannot be read."""
    return read_text(path)


def load_experiment(path: Path) -> Experiment:
    """The experiment of a file. Raises ``BadInput`` at the first thing that is wrong."""
    return parse_experiment(read_text(path), str(path))


def parse_experiment(content: str, file: str) -> Experiment:
    """The experiment of a text that has been read already; ``file`` is for messages."""
    root = parse(content, file)
    root.only(_KEYS, _LATER)
    specs, expected = faults(value) if (value := root.get("faults")) else ((), ())
    baseline_s, errors = _baseline(root)
    wanted = tuple(objective(measure, bound) for measure, bound in _entries(root, "objectives"))
    return Experiment(
        name=_name(root.need("experiment", "experiment: leader-kill")),
        question=text(root.need("question", "question: How long do writes fail?"), "a question").strip(),
        cluster=_cluster(table(root.need("cluster", "cluster: {target: replicated_kv}")), file),
        traffic=_traffic(table(root.need("traffic", "traffic: {operations: {write: 100/s}}"))),
        baseline_s=baseline_s,
        baseline_errors=errors,
        faults=specs,
        settle_s=_span(root, "settle", 20.0),
        limits=struct(value, Limits) if (value := root.get("limits")) else Limits(),
        seed=_seed(value) if (value := root.get("seed")) else 1,
        duration_s=_span(root, "duration", 0.0) if root.get("duration") else None,
        slo=struct(value, Slo) if (value := root.get("slo")) else Slo(),
        predict=predict(table(value)) if (value := root.get("predict")) else PredictSpec(),
        objectives=(*wanted, *expected),
        abort_if=abort_if(value) if (value := root.get("abort_if")) else AbortIf(),
        expect_verdict=_word(value, VERDICTS) if (value := root.get("expect_verdict")) else "pass",
        file=file,
    )


def _cluster(entry: Table, file: str) -> ClusterSpec:
    entry.only(_CLUSTER)
    nodes, parts, dns, runtime = entry.get("nodes"), entry.get("parts"), entry.get("dns"), entry.get("runtime")
    if nodes is not None and parts is not None:
        raise BadInput("'nodes' and 'parts' exclude each other", place=parts.place, right="nodes: 3, or parts: {data: 3}")
    runtimes = ["auto", *tables.names("runtimes")]
    attached = attach(value, file) if (value := entry.get("attach")) else None
    target = entry.get("target") if attached else entry.need("target", "target: replicated_kv")
    return ClusterSpec(
        target=text(target, "the name or path of a target") if target is not None else ATTACHED,
        nodes=_count(nodes) if nodes is not None else None,
        parts={name: _count(value) for name, value in _entries(entry, "parts")},
        settings={name: text(value) for name, value in _entries(entry, "settings")},
        zones={name: texts(value, "[n1, n2]") for name, value in _entries(entry, "zones")},
        dns=struct(dns, Dns) if dns is not None else Dns(balancer="engine") if attached else Dns(),
        runtime=_word(runtime, runtimes) if runtime is not None else "auto",
        resources=struct(resources, Resources) if (resources := entry.get("resources")) else Resources(),
        attach=attached,
        networks=_networks(value, attached) if (value := entry.get("networks")) else (),
    )


def _networks(value: Value, attached: AttachSpec | None) -> tuple[str, ...]:
    """Names, in the order that says who stands where."""
    if attached is not None:
        right = "leave it out; attach: {network: NAME} says which of them is meant"
        raise BadInput("containers that already run have the networks that they have", place=value.place, right=right)
    names = texts(value, "[front, back]")
    wrong = next((name for name in names if not NAME.fullmatch(name)), None)
    if wrong is not None:
        raise BadInput(f"'{wrong}' is not a name", place=value.place, right="letters, digits, '-', '_' and '.'")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"two networks are named '{twice}'", place=value.place, right="each name once")
    if not 1 <= len(names) <= _MOST_NETWORKS:
        raise BadInput(f"{len(names)} networks", place=value.place, right=f"1 to {_MOST_NETWORKS}")
    return names


def _traffic(entry: Table) -> TrafficSpec:
    entry.only(("operations", "client", "outage", "judge"))
    operations = table(entry.need("operations", "operations: {write: 100/s}"))
    client, outage, judge = entry.get("client"), entry.get("outage"), entry.get("judge")
    if not operations.entries:
        raise BadInput("there is no operation", place=operations.place, right="operations: {write: 100/s}")
    return TrafficSpec(
        operations={name: _operation(value) for name, value in operations.entries.items()},
        client=struct(client, ClientPolicy) if client is not None else ClientPolicy(),
        outage=struct(outage, OutageRule) if outage is not None else OutageRule(),
        judge=text(judge, "an operation") if judge is not None else None,
    )


def _operation(value: Value) -> OperationSpec:
    """``100/s`` of the target's operation of that name, or one defined here."""
    if not isinstance(value, Table):
        return OperationSpec(rate_per_s=_rate(value))
    rate_per_s = _rate(value.need("rate", EXAMPLE[RATE]))
    if set(value.entries) == {"rate"}:
        return OperationSpec(rate_per_s=rate_per_s)
    kind = operation(value, does="read", besides=("rate",))
    return OperationSpec(rate_per_s=rate_per_s, probe=kind.probe, does=kind.does, options=kind.options)


# --- small values ------------------------------------------------------------------------------------------------------


def _entries(root: Table, key: str) -> list[tuple[str, Value]]:
    value = root.get(key)
    return [] if value is None else list(table(value).entries.items())


def _name(value: Value) -> str:
    name = text(value, "a name")
    if not NAME.fullmatch(name):
        raise BadInput(f"'{name}' is not a name", place=value.place, right="letters, digits, '-', '_' and '.'")
    return name


def _baseline(root: Table) -> tuple[float, float]:
    """``5s``, or ``{for: 5s, errors: 0.5%}``: how long, and the share of requests that fail by themselves."""
    value = root.entries.get("baseline")
    if value is None or not isinstance(value, Table):
        return _span(root, "baseline", 10.0), 0.0
    value.only(("for", "errors"))
    errors = quantity(found, PERCENT) if (found := value.get("errors")) else 0.0
    if found is not None and not 0 <= errors < MOST_ERRORS:
        raise BadInput(f"{what_is(found)} is out of range", place=found.place, right=f"less than {MOST_ERRORS:.0%}, such as 0.5%")
    return _span(value, "for", 10.0), errors


def _span(root: Table, key: str, default_s: float) -> float:
    value = root.entries.get(key)
    if value is None:
        return default_s
    span_s = quantity(value, DURATION)
    if span_s < 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="at least 0s")
    return span_s


def _rate(value: Value) -> float:
    rate_per_s = quantity(value, RATE)
    if rate_per_s <= 0:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="more than 0/s")
    if rate_per_s > MOST_PER_S:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right=f"at most {MOST_PER_S:,.0f}/s")
    return rate_per_s


def _count(value: Value) -> int:
    count = integer(value)
    if count < 1:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="at least 1")
    return count


def _seed(value: Value) -> int:
    seed = integer(value)
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"{what_is(value)} is out of range", place=value.place, right="a whole number from 0 to 2^53 - 1")
    return seed


def _word(value: Value, choices: tuple[str, ...] | list[str]) -> str:
    word = text(value, "a word")
    if word not in choices:
        raise BadInput(f"'{word}' is not a choice here", place=value.place, right=suggest(word, choices))
    return word
