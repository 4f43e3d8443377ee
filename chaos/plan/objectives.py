"""What of a plan is judged and predicted, checked before anything starts: can it be decided at all, can a model carry it?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.capabilities import Capability
from chaos.core.units import show_s
from chaos.experiment.document import Experiment
from chaos.experiment.production import PLANNED, ZONE, ProductionRate
from chaos.experiment.selectors import Zone
from chaos.experiment.tls_options import unverified
from chaos.plan import back_off, volumes
from chaos.plan.attached import name_of_one
from chaos.plan.cluster import refuse
from chaos.plan.hosts import TAKES_HOSTS
from chaos.plan.plan import Parameter, Plan, PlannedNode
from chaos.plan.traits import made, traits

POWER_OFF: Final = "power_off"
OF_FAULTS: Final = ("recovery", "agreement")
"""Measures that speak of faults: without any there is nothing to judge."""
FAST_PER_S: Final = 3_000.0
"""Of one operation; see docs/measuring.md."""
MOST_TOGETHER_PER_S: Final = 10_000.0
_BACK: Final = {ZONE: ("zone_outage_s",), PLANNED: ("stop_s", "restart_s", "resync_s")}
"""What passes before a node is back, by the kind of fault; for all others its restart."""


def check_objectives(experiment: Experiment) -> None:
    """Raise ``BadInput`` for an objective that nothing in this run could decide."""
    if experiment.faults:
        return
    for spec in experiment.objectives:
        if spec.measure in OF_FAULTS:
            message = f"'{spec.measure}' speaks of faults, and none is planned: nothing could decide it"
            raise refuse(experiment, f"objectives.{spec.measure}", message, "leave it out, or plan a fault")


def cautions(plan: Plan) -> tuple[str, ...]:
    """What can be asked and may well not be shown, or not be predicted rightly."""
    return (
        *too_fast(plan.experiment),
        *_ending_untold(plan),
        *_anybody(plan),
        *back_off.cautions(plan),
        *_given_up(plan),
        *volumes.cautions(plan),
        *name_of_one(plan.experiment),
        *_unseen(plan.experiment),
        *_nameless(plan.experiment),
    )


def _unseen(experiment: Experiment) -> tuple[str, ...]:
    """What could not be read of what runs already: then its defaults stand in the prediction."""
    attach = experiment.cluster.attach
    why = "" if attach is None or attach.pods is None else attach.pods.unseen
    return (f"{why}. The prediction takes Kubernetes' defaults for it",) if why else ()


def _nameless(experiment: Experiment) -> tuple[str, ...]:
    """A machine that takes servers of the cluster's names with it is felt by more than the clients of its nodes."""
    attach = experiment.cluster.attach
    servers = {} if attach is None or attach.pods is None else attach.pods.answers
    found = []
    for spec in experiment.faults:
        host = spec.target.zone if isinstance(spec.target, Zone) and made(spec).needs & TAKES_HOSTS else ""
        if count := servers.get(host, 0):
            all_of = sum(servers.values())
            found.append(
                f"'{spec.name}': {count} of {all_of} servers of the cluster's names stand on {host}. "
                + ("Until it is back" if count == all_of else "Until the cluster misses it")
                + f" {'all' if count == all_of else 'some'} questions for names are lost, there and elsewhere; the prediction has that"
            )
    return tuple(found)


def _given_up(plan: Plan) -> tuple[str, ...]:
    """A runtime gives up the nodes of a machine that is silent for long, and others follow them: at once, or when it is back."""
    known = {parameter.name: parameter.value for parameter in plan.parameters}
    if not {"machine_grace_s", "eviction_s"} <= set(known):
        return ()
    limit_s = known["machine_grace_s"] + known["eviction_s"]
    at_once = any(each.name == "successor" and each.word == "at-once" for each in plan.parameters)
    silent = [spec for spec in plan.experiment.faults if spec.kind == POWER_OFF or made(spec).needs & TAKES_HOSTS]
    long = [spec for spec in silent if spec.for_s is None or spec.for_s > limit_s]
    return tuple(
        f"'{spec.name}': after {show_s(limit_s)} without its machine's word the runtime gives a node up. A Deployment's pod is then made "
        "elsewhere, a StatefulSet's stays 'Terminating' until the machine is back, and another one is made then; the prediction takes "
        f"it for a {'Deployment' if at_once else 'StatefulSet'}'s. for: at most {show_s(limit_s)} avoids it"
        for spec in long
    )


def _anybody(plan: Plan) -> tuple[str, ...]:
    """A run cannot tell whether the service itself answered."""
    names = unverified(plan.operations)
    return (f"{', '.join(names)}: verify: false believes any certificate, so whoever answers counts as the service",) if names else ()


def _ending_untold(plan: Plan) -> tuple[str, ...]:
    """Nobody can see from outside what a node will do when it is asked to end: its target has to say so."""
    told = {parameter.name for parameter in plan.parameters}
    asked = [spec for spec in plan.experiment.faults if traits(plan, spec).polite]
    given_up = [spec for spec in asked if Capability.DELETES in made(spec).needs]
    if given_up and "stop_s" not in told:
        first = given_up[0].name
        return (
            f"'{first}' asks processes to end, and nobody can see from outside which of them do: a first process without a handler for "
            "SIGTERM, as many shells are, lives until its grace is over. The prediction takes them to end at once. If they do not: "
            "predict: {parameters: {stop: 5s}}, or stop: 1h for never",
        )
    asked = asked if plan.has_roles else [spec for spec in asked if spec not in given_up]
    if not asked or not told or "stopping" in told:
        return ()
    return (
        f"'{asked[0].kind}' asks nodes to end, and the target does not say what they do then: they are taken to serve on for its 'stop', "
        "or not at all, and to end as in a crash. If they drain or hand over first, say so under 'model:' (stopping: drain); "
        "else 'stopping: crash'",
    )


def too_fast(experiment: Experiment) -> tuple[str, ...]:
    """Rates at which a slot is shorter than what a busy machine makes the prober late."""
    found = []
    for name, spec in experiment.traffic.operations.items():
        if spec.rate_per_s > FAST_PER_S:
            slot = f"{name} at {spec.rate_per_s:,.0f}/s: a slot is {show_s(1 / spec.rate_per_s)}"
            late = "shorter than the prober is late on a busy machine; with more than 1 % of slots sent late the verdict is unknown"
            found.append(f"{slot}, {late} (at most {FAST_PER_S:,.0f}/s)")
    total_per_s = sum(spec.most_per_s for spec in experiment.traffic.operations.values())
    if not found and total_per_s > MOST_TOGETHER_PER_S:
        found.append(f"all operations together send {total_per_s:,.0f}/s, which one core may not (at most {MOST_TOGETHER_PER_S:,.0f}/s)")
    return tuple(found)


def check_production(experiment: Experiment, parameters: Sequence[Parameter], nodes: Sequence[PlannedNode]) -> None:
    """Raise ``BadInput`` for a rate at which a node fails again before it is back, on average: no model has an answer to that."""
    known = {parameter.name: parameter.value for parameter in parameters}
    for rate in experiment.predict.production:
        back_s = sum(known.get(name, 0.0) for name in _BACK.get(rate.kind, ("restart_s",)))
        each_s = _between_s(rate, len(nodes))
        if each_s <= back_s:
            whom = "zone" if rate.per == ZONE else "node"
            message = f"'{rate.text}' strikes a {whom} every {show_s(each_s)}, and it takes {show_s(back_s)} to come back"
            raise refuse(experiment, f"predict.production.{rate.kind}", message, f"fewer: at most 1 per {show_s(back_s)} for each")


def _between_s(rate: ProductionRate, nodes: int) -> float:
    """From one fault of a node (or zone) to its next, on average."""
    return (nodes if rate.per == "cluster" else 1) / rate.per_s
