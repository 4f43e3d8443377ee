"""Why an outage lasted as long as it did: each outage cut into phases, from what the history saw. Measured, never modelled.

    detection   nobody has noticed yet: until the first candidacy after the fault
    election    until a leader stands (candidacies that failed are part of it)
    restart     a dead node is needed: until its process begins again
    resume      a paused node is needed: until it is let go on
    heal        a link, or what else a fault holds up, is needed: until the fault is taken back
    resync      a node is back and does not yet vote or serve
    dns         clients are sent to the wrong node, or have no answer: until the set of the name changes, or the name server is right again
    client      cached answers, dead connections and retries run out
    unnamed     nothing in the history explains it

The fault decides which of the three middle ones it can have. The cuts stand in the order of the causes and are clamped into the outage,
so the phases sum to its duration exactly. A fault that began only after all that the ones before explain is not a cause: what it
changed stays unnamed. An outage is counted by *due* times: a request that was due before the leader stood and was answered after it,
within its deadline, was good, so an outage may end before its election did. Without candidacy marks of the target, detection and
election cannot be told apart: both are one phase, ``detection+election``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from chaos.core.values import LEADER, VOTING
from chaos.measure.faults import FaultRecord
from chaos.measure.phases_nodes import Abilities
from chaos.measure.timeline import Moment, ServiceTimeline, Timeline
from chaos.plan.plan import Plan
from chaos.results.observed import PHASES, Outage, Phase

BOTH = "detection+election"
ELECTION_STARTED = "election_started"
LEADER_ELECTED = "leader_elected"

CLIENT_SLACK_S = 0.5
"""What is still called the client's after its cache, its deadline and the closing slots have run out."""

FOLLOWED_S = 0.1
"""A name that is not ours is asked every 50 ms: the client that ends an outage may know of a change before it is told."""

RESTART = "restart"

ASYNC = "async"
"""The replication of a primary that acknowledges alone."""

LOCAL_READS = 1
"""The parameter ``reads`` of the models, as a number: 0 quorum, 1 local."""

Cut = tuple[str, float]
"""A phase and when it ended, in s; the next one begins there."""


def dissect(plan: Plan, timeline: Timeline) -> Timeline:
    """The same timeline, with the phases of every outage filled in."""
    abilities = Abilities(plan, timeline)
    services = {}
    for name, service in timeline.services.items():
        cutter = _Cutter(plan, timeline, service, abilities)
        outages = tuple(msgspec.structs.replace(outage, phases=cutter.phases(outage)) for outage in service.outages)
        services[name] = msgspec.structs.replace(service, outages=outages)
    return msgspec.structs.replace(timeline, services=services)


def needs_leader(plan: Plan, service: str) -> bool:
    """Whether this operation works only through a leader: writes do, and reads unless they are local. A primary needs nobody behind it."""
    if plan.replication not in ("quorum", ASYNC) or not plan.has_roles:
        return False
    kind = plan.operations.get(service)
    local_reads = any(parameter.name == "reads" and parameter.value == LOCAL_READS for parameter in plan.parameters)
    return kind is None or kind.does != "read" or not local_reads


class _Cutter:
    """Cuts the outages of one service."""

    def __init__(self, plan: Plan, timeline: Timeline, service: ServiceTimeline, abilities: Abilities) -> None:
        client, dns = plan.experiment.traffic.client, plan.experiment.cluster.dns
        self._timeline = timeline
        self._service = service
        self._abilities = abilities
        self._faults = {fault.id: fault for fault in timeline.faults}
        self._by_leader = needs_leader(plan, service.service)
        self._enough_back_s = abilities.any_back_s if plan.replication == ASYNC else abilities.quorum_back_s
        self._slack_s = client.deadline_s + service.rule.slot_s
        cached_s = {"once": math.inf, "ttl": dns.ttl_s}.get(client.resolve, 0.0)
        self._client_s = cached_s + client.deadline_s + client.attempts * min(client.timeout_s, client.deadline_s) + CLIENT_SLACK_S
        self._seen_late_s = 0.0 if dns.ours else FOLLOWED_S
        self._marked = {mark.what for mark in timeline.marks}

    def phases(self, outage: Outage) -> dict[str, Phase]:
        """What the time of one outage went into; phases that took none are left out.

        Where the nodes' clocks are known too coarsely, each is unknown.
        """
        start_s = outage.start_s
        end_s = start_s + self._service.visible_s(outage)
        faults = [self._faults[name] for name in outage.faults]
        spent = dict.fromkeys(PHASES, 0.0)
        at_s = start_s
        for phase, until_s in [*self._cuts(outage, faults, end_s), ("unnamed", math.inf)]:
            upto_s = min(max(until_s, at_s), end_s)
            spent[phase] += upto_s - at_s
            at_s = upto_s
        if ELECTION_STARTED not in self._marked:
            spent[BOTH] = spent.pop("election") + spent.pop("detection")
        unknown = self._timeline.clock_too_coarse(self._service.rule.slot_s)
        return {phase: Phase(None if unknown else spent[phase]) for phase in PHASES if spent.get(phase, 0.0) > 0.0}

    def _cuts(self, outage: Outage, faults: Sequence[FaultRecord], end_s: float) -> list[Cut]:
        """Causes in the order in which they held the service up."""
        faults = self._causes(faults)
        since_s = min((fault.effective_s for fault in faults if fault.effective_s is not None), default=outage.start_s - self._slack_s)
        if faults and all(fault.traits.of_name for fault in faults):
            right_s = max(math.inf if fault.healed_s is None else fault.healed_s for fault in faults)
            return [("dns", right_s), ("client", right_s + self._client_s)]
        since_s = max(since_s, self._led_before_s(outage.start_s))  # one fault may end several leaders, one after the other
        cuts = self._by_the_cluster(faults, since_s, end_s, outage.end_s is None)
        if not cuts and not faults:
            return []
        if not cuts:
            cuts = self._by_the_victims(faults, since_s, end_s)
        # From when on the service as a whole could answer again; long before the outage, that explains nothing of it.
        reached_s = max([since_s, *(until_s for _, until_s in cuts)])
        redirected_s = self._set_changed(faults, reached_s, end_s + self._seen_late_s)
        if redirected_s is not None:
            cuts.append(("dns", redirected_s))
            reached_s = redirected_s
        cuts.append(("client", reached_s + self._client_s))
        return cuts

    def _causes(self, faults: Sequence[FaultRecord]) -> list[FaultRecord]:
        """Those that began while what the ones before explain still went on."""
        found: list[FaultRecord] = []
        over_s = math.inf
        for fault in sorted(faults, key=lambda each: math.inf if each.effective_s is None else each.effective_s):
            if found and fault.effective_s is not None and fault.effective_s > over_s:
                break
            found.append(fault)
            ends_s = [math.inf if each.healed_s is None else each.healed_s for each in found]
            over_s = max(ends_s) + self._client_s
        return found

    @staticmethod
    def _awaited(faults: Sequence[FaultRecord], back_s: float) -> str:
        """How the time until ``back_s`` is called: by the fault whose end is nearest to it."""

        def off_s(fault: FaultRecord) -> float:
            return math.inf if fault.healed_s is None or math.isinf(back_s) else abs(fault.healed_s - back_s)

        nodes = [fault for fault in faults if not fault.traits.of_name]
        return min(nodes, key=off_s).traits.awaits if nodes else RESTART

    # --- the leader, and the quorum behind it ------------------------------------------------------------------------

    def _by_the_cluster(self, faults: Sequence[FaultRecord], since_s: float, end_s: float, is_open: bool) -> list[Cut]:
        if not self._by_leader:
            return self._by_the_last_copy(faults, since_s, end_s)
        cuts: list[Cut] = []
        back_s = self._enough_back_s(since_s, end_s + self._slack_s)
        if back_s is not None:
            cuts.append((self._awaited(faults, back_s), back_s))
            since_s = back_s
            if math.isinf(back_s):
                return cuts
        elected_s = self._elected_s(since_s, end_s)
        candidates_until_s = end_s + self._slack_s if elected_s is None else elected_s
        candidacy_s = self._first(self._timeline.marks, ELECTION_STARTED, since_s, candidates_until_s)
        led_by_victim = any(fault.role == LEADER for fault in faults)
        if elected_s is not None:
            cuts += [("detection", candidacy_s)] if candidacy_s is not None else []
            cuts.append(("election", elected_s))
            voting_s = self._first(self._timeline.roles, f"+{VOTING}", elected_s, end_s) if back_s is not None else None
            cuts += [("resync", voting_s)] if voting_s is not None else []
        elif is_open and led_by_victim and back_s is None:
            # Cut off by the end of the run: what was going on then goes on to it.
            cuts += [("detection", candidacy_s), ("election", math.inf)] if candidacy_s is not None else [("detection", math.inf)]
        return cuts

    def _by_the_last_copy(self, faults: Sequence[FaultRecord], since_s: float, end_s: float) -> list[Cut]:
        """Any node will do: only when none is up must one come back, and then serve."""
        back_s = self._abilities.any_back_s(since_s, end_s + self._slack_s)
        if back_s is None:
            return []
        voting_s = self._first(self._timeline.roles, f"+{VOTING}", back_s, end_s)
        return [(self._awaited(faults, back_s), back_s), *([("resync", voting_s)] if voting_s is not None else [])]

    def _elected_s(self, since_s: float, end_s: float) -> float | None:
        """When the leader stood who ended the outage: the last one within it, else the first one just after."""
        if LEADER_ELECTED in self._marked:
            moments = [moment.at_s for moment in self._timeline.marks if moment.what == LEADER_ELECTED and moment.at_s > since_s]
            late_s = 0.0
        else:
            leaders = [moment for moment in self._timeline.roles if moment.what == f"+{LEADER}" and moment.at_s > since_s]
            moments = [moment.at_s for moment in leaders]
            late_s = max((moment.resolution_s for moment in leaders), default=0.0)
        within = [at_s for at_s in moments if at_s <= end_s]
        after = [at_s for at_s in moments if end_s < at_s <= end_s + self._slack_s + late_s]
        return max(within) if within else min(after) if after else None

    def _led_before_s(self, at_s: float) -> float:
        """When the last leader stood who stood before; minus infinity where none is known."""
        marked = [moment.at_s for moment in self._timeline.marks if moment.what == LEADER_ELECTED and moment.at_s <= at_s]
        return max(marked, default=-math.inf)

    # --- clients that ask the wrong node -----------------------------------------------------------------------------

    def _by_the_victims(self, faults: Sequence[FaultRecord], since_s: float, end_s: float) -> list[Cut]:
        """The service as a whole could go on: until the victims are back, unless the name leaves them out first."""
        back_s = self._abilities.victims_back_s(faults, since_s)
        withdrawn_s = self._set_changed(faults, since_s, end_s)
        if withdrawn_s is not None and withdrawn_s <= back_s:
            return []  # the caller cuts at the change of the set
        return [(self._awaited(faults, back_s), back_s)] if back_s <= end_s + self._slack_s else []

    def _set_changed(self, faults: Sequence[FaultRecord], since_s: float, end_s: float) -> float | None:
        """The first time after ``since_s`` that the name left out a node that could not serve, or took in one that now could."""
        victims = {node for fault in faults for node in self._abilities.victims(fault)}
        before: frozenset[str] | None = None
        for seen in self._timeline.sets:
            now = frozenset(seen.nodes)
            if before is not None and since_s < seen.at_s <= end_s:
                gone = {node for node in before - now if node in victims or not self._abilities.is_up(node, seen.at_s)}
                come = now - before
                if gone or come:
                    return seen.at_s
            before = now
        return None

    @staticmethod
    def _first(moments: Sequence[Moment], what: str, after_s: float, upto_s: float) -> float | None:
        return next((moment.at_s for moment in moments if moment.what == what and after_s < moment.at_s <= upto_s), None)
