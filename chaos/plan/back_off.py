"""A runtime that waits before it starts a dead node again, longer after each death: kubelet's CrashLoopBackOff and its like.

    death        1st   2nd      3rd       4th      ...           waits are counted from the death
    waits        0     first    2 first   4 first  ... most      all is forgotten ``forgets`` after the last start, also amid a wait

(Kubernetes v1.34: ``doBackOff`` of kuberuntime_manager.go, ``Backoff`` of client-go's flowcontrol, 10 s, 300 s, 600 s; kubelet collects
what is forgotten every 2 s, so that a wait ends there.) The runtime looks whether the wait is over when it has noticed the death, and then
once in each ``look``: a start comes at the first look that finds it over. A probe may have it look as well (``probed``), and then the next
``look`` counts from there. So kills that follow each other quickly are not alike, and their times to recover must not be averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.errors import NinesError
from chaos.core.units import show_s
from chaos.experiment.document import Experiment
from chaos.experiment.faults import FaultSpec
from chaos.experiment.pods import Past
from chaos.plan.plan import Parameter, Plan
from chaos.plan.selection import NothingMatched, possible
from chaos.plan.traits import made, make

POLICY: Final = "policy"
"""``recovery`` of a fault after which the runtime itself starts the node again."""


class BackOff(msgspec.Struct, frozen=True):
    """The rule, in s: the first wait, the longest, and after how long without a death all is forgotten."""

    first_s: float
    most_s: float
    forgets_s: float
    seen_s: tuple[float, float] = (0.0, 0.0)
    """From a death until the runtime has noticed it, evenly between these."""
    look_s: tuple[float, float] = (0.0, 0.0)
    """Between two looks at whether the wait is over, evenly between these; 0: it looks all the time."""
    tick_s: float = 0.0
    """Such a look is made at the next of its ticks, which are so far apart."""
    probed_s: float = 0.0
    """Between two probes of a node, the first of which that finds it dead makes the runtime look at once; 0: none does."""

    def wait_s(self, deaths: int) -> float:
        """What it owes after a death that so many deaths precede which it remembers."""
        return 0.0 if deaths == 0 else min(self.first_s * 2.0 ** (deaths - 1), self.most_s)

    def started_s(self, wait_s: float) -> float:
        """About when the start comes, counted from the death: half a look late, as looks fall at any moment."""
        seen_s, look_s = sum(self.seen_s) / 2, sum(self.look_s) / 2
        return seen_s if wait_s <= seen_s else wait_s + (look_s + self.tick_s) / 2

    def owed_s(self, deaths_s: Iterable[float], past: Past | None = None) -> tuple[float, ...]:
        """The wait after each of one node's deaths, at these moments. One that is due while the node is dead comes when it runs."""
        found: list[float] = []
        remembered, started_s = (0, float("-inf")) if past is None else (past.deaths, past.started_s)
        for due_s in deaths_s:
            death_s = max(due_s, started_s)
            left_s = self.forgets_s - (death_s - started_s)
            if left_s < 0:
                remembered = 0
            wait_s = self.wait_s(remembered)
            if 0 <= left_s < wait_s:  # it is forgotten while the node waits, and nothing is left to wait for
                wait_s, remembered = left_s, 0
            found.append(wait_s)
            started_s = death_s + self.started_s(wait_s)
            remembered += 1
        return tuple(found)


def of(parameters: Sequence[Parameter]) -> BackOff | None:
    """As the plan's parameters have it; None where nobody says that the runtime waits."""
    known = {each.name: each for each in parameters}
    if "back_off_s" not in known:
        return None
    first_s = known["back_off_s"].value

    def single(name: str, otherwise: float) -> float:
        return known[name].value if name in known else otherwise

    def ends(name: str) -> tuple[float, float]:
        found = known.get(name)
        return (0.0, 0.0) if found is None else (found.value, found.value if found.high is None else found.high)

    most_s = max(first_s, single("back_off_most_s", first_s))
    probed_s = single("readiness_every_s", 0.0) if "probes_look" in known and known["probes_look"].word == "true" else 0.0
    forgets_s, tick_s = single("back_off_forgets_s", 2 * most_s), single("back_off_tick_s", 0.0)
    return BackOff(first_s, most_s, forgets_s, ends("death_seen_s"), ends("back_off_look_s"), tick_s, probed_s)


def relies(spec: FaultSpec) -> bool:
    """Is it the runtime that starts what this fault kills?"""
    return of_kind(spec.kind, spec.params)


def of_kind(kind: str, params: Mapping[str, Any]) -> bool:
    """The same of a fault as a plan writes it down; of one that nobody knows here: no."""
    try:
        fault = make(kind, params)
        return fault.revival == POLICY and fault.takes_down
    except (NinesError, msgspec.ValidationError):
        return False


def renews(spec: FaultSpec) -> bool:
    """Does the runtime forget the deaths of whom it meets? Another one in its place has none, and a machine that boots remembers none."""
    return bool(made(spec).needs & {Capability.DELETES, Capability.HOSTS})


class Death(msgspec.Struct, frozen=True):
    """A fault that killed these nodes, ``at_s`` after t = 0, or put others in their places."""

    id: str
    fault: str
    """The name of its FaultSpec."""
    at_s: float
    nodes: tuple[str, ...]


def struck_s(plan: Plan, deaths: Sequence[Death]) -> dict[str, float]:
    """Id -> the wait that the runtime owes after it, the longest of its nodes; of faults after which the runtime starts nodes, and does
    not do so at once. Empty where no runtime waits."""
    rule = of(plan.parameters)
    if rule is None:
        return {}
    waited = {spec.name for spec in plan.experiment.faults if relies(spec)}
    renewed = {spec.name for spec in plan.experiment.faults if renews(spec)}
    before = pasts(plan.experiment)
    lives: list[tuple[Past | None, list[Death]]] = []
    by_node: dict[str, list[Death]] = {}
    for death in sorted(deaths, key=lambda each: each.at_s):
        for node in death.nodes:
            if death.fault in waited:
                if node not in by_node:
                    lives.append((before.get(node), by_node.setdefault(node, [])))
                by_node[node].append(death)
            elif death.fault in renewed:
                by_node.pop(node, None)
                before.pop(node, None)
    found: dict[str, float] = {}
    for past, each in lives:
        for death, wait_s in zip(each, rule.owed_s((death.at_s for death in each), past), strict=True):
            found[death.id] = max(found.get(death.id, 0.0), wait_s)
    return found


def pasts(experiment: Experiment) -> dict[str, Past]:
    """Node -> what its runtime remembers of it from before the run, where that could be asked."""
    attach = experiment.cluster.attach
    return {} if attach is None or attach.pods is None else dict(attach.pods.past)


def planned_s(plan: Plan) -> dict[str, float]:
    """The same of a plan's windows. Where a selector leaves the victim open, those that it may pick are taken in turn: the fewest deaths of
    one node that there can be."""
    if of(plan.parameters) is None:
        return {}
    specs = {spec.name: spec for spec in plan.experiment.faults if relies(spec) or renews(spec)}
    turns = {name: _turns(plan, spec) for name, spec in specs.items()}
    windows = sorted((window for window in plan.windows if window.fault in specs), key=lambda window: window.start_s)
    return struck_s(plan, [Death(window.id, window.fault, window.start_s, next(turns[window.fault], ())) for window in windows])


def _turns(plan: Plan, spec: FaultSpec) -> Iterator[tuple[str, ...]]:
    """The victims that a selector may pick, one set after the other and then from the beginning."""
    experiment = plan.experiment
    part = experiment.cluster.dns.part or plan.nodes[0].part
    try:
        picked = list(
            possible(
                spec.target, nodes=plan.nodes, protect=experiment.limits.protect, part=part, has_roles=plan.has_roles, fault=made(spec)
            )
        )  # fmt: skip
    except NothingMatched:
        return
    sets = list(dict.fromkeys(victims.nodes for victims in picked))
    while sets:
        yield from sets


def cautions(plan: Plan) -> tuple[str, ...]:
    """Faults that the runtime answers with longer and longer waits: what they cost is not one distribution."""
    rule, owed = of(plan.parameters), planned_s(plan)
    if rule is None:
        return ()
    said = list(_of_before(plan, rule)) if owed else []
    for spec in plan.experiment.faults:
        waits_s = [owed[window.id] for window in plan.windows if window.fault == spec.name and window.id in owed]
        if any(waits_s):
            shown = ", ".join(show_s(wait_s) for wait_s in waits_s[:5]) + (", ..." if len(waits_s) > 5 else "")
            said.append(
                f"'{spec.name}': the runtime waits {shown} before it starts what was killed, since it remembers a death for "
                f"{show_s(rule.forgets_s)}; so these faults are not alike, and their mean depends on their number. "
                f"Space them by more than {show_s(rule.forgets_s + rule.first_s)}, or kill other nodes"
            )
    return tuple(said)


def _of_before(plan: Plan, rule: BackOff) -> tuple[str, ...]:
    """Deaths that nobody here planned, and that the runtime still remembers."""
    lately = {node: past for node, past in pasts(plan.experiment).items() if -past.started_s <= rule.forgets_s}
    return tuple(
        f"{node} was started {show_s(-past.started_s)} before this plan, after a death; the runtime remembers "
        f"{past.deaths} of its deaths until {show_s(rule.forgets_s)} after that start, and waits "
        f"{show_s(rule.wait_s(past.deaths))} after the next one. The prediction has that; a run that begins later has shorter outages"
        for node, past in lately.items()
    )
