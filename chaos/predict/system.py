"""What the models know of a system: its parameters as numbers with units, read from a plan and checked.

``docs/models.md`` holds the table of parameters. What a prediction needs and the target does not declare is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.values import LEADER
from chaos.experiment import parameters
from chaos.experiment.traffic import ClientPolicy
from chaos.plan import back_off
from chaos.plan.back_off import BackOff
from chaos.plan.plan import Parameter, Plan, PlannedNode
from chaos.predict.facts import judged_part
from chaos.predict.markov.chain import majority
from chaos.predict.scenarios.delays import DnsWithdrawal, HeartbeatDetection, Noticed, RandomisedElection, SilentMachine, Uniform
from chaos.predict.scenarios.failover import LeaseExpiry, ReplicasHeard, Watchers

NOTHING: Final = Uniform(0.0, 0.0)
READY: Final = "ready"
READ: Final = "read"
AS_WRITES: Final = "as-writes"
USUAL_ROUND_TRIP: Final = Uniform(0.001, 0.001)
"""Between two nodes of one site, where neither the target nor the experiment says it."""


FOUND: Final = {
    "health_checked": True,
    "leader_only": True,
    "ttl_s": 0.0,
    "resolve": "ttl",
    "check_every_s": 0.0,
    "lag_s": 0.0,
    "fall": 1,
    "rise": 1,
}
"""Clients that find the leader by themselves are as those of a name that holds it alone, at once and uncached."""


class Front(msgspec.Struct, frozen=True):
    """The name before the cluster, as far as it matters to clients."""

    health_checked: bool = True
    ttl_s: float = 1.0
    resolve: str = "ttl"
    on_error: bool = False
    """A connection that fails makes clients ask the name again."""
    check_every_s: float = 0.25
    check_timeout_s: float = 0.2
    fall: int = 2
    rise: int = 2
    lag_s: float = 0.0
    """From the check that decides until answers follow it."""
    leader_only: bool = False
    """The set holds only the leader (check ``role:leader``)."""
    ready_by_quorum: bool = False
    """A node passes the check only while a quorum and its leader stand behind its answer."""
    staggered: bool = True
    """The checks of all nodes are spread evenly over their period; else each has a phase of its own."""
    keeps: bool = False
    """There is no name: clients stay with the leader that they found until it is none, even where another one leads by then."""
    noticed: Uniform | None = None
    """From the death of a process until the runtime has noticed it, where that takes a node out at once, whatever its checks say."""
    lost: SilentMachine | None = None
    """The rule for machines that say nothing more, where nodes are checked by their own machine."""
    one_address: bool = False
    """The name leads to one address that stands for all nodes, from which each connection goes to one of them that is ready."""
    servers: Mapping[str, int] = {}
    """Machine -> how many of those that answer the name stand there; empty: nobody says it."""
    ordered: Uniform | None = None
    """From the order to give a node up until answers follow it, where the name hears of the order itself and awaits no check."""
    grids: tuple[tuple[float, float], ...] = ()
    """(slot width, phase) in s of each operation that uses the name, in the order of the experiment."""

    def withdrawal(self, silent: bool, machine: bool = False) -> DnsWithdrawal | Noticed | SilentMachine:
        """When a node that is down leaves the set; ``machine``: with its machine, which checks its own nodes where ``lost`` says so."""
        if machine and self.lost is not None:
            return msgspec.structs.replace(self.lost, lag_s=self.lag_s)
        if not silent and self.noticed is not None:
            return Noticed(self.noticed, self.lag_s)
        return DnsWithdrawal(self.check_every_s, self.fall, (self.check_timeout_s if silent else 0.0) + self.lag_s)

    def dismissal(self) -> DnsWithdrawal | Noticed | SilentMachine:
        """When a node leaves the set that is given up, counted from the order; with a check, from when that begins to fail."""
        return self.withdrawal(silent=False) if self.ordered is None else Noticed(self.ordered)

    def admission(self) -> DnsWithdrawal:
        """When a node that is well again is taken in."""
        return DnsWithdrawal(self.check_every_s, self.rise, self.lag_s)

    @property
    def asked_s(self) -> float:
        """For how long clients may ask a node whose check began to fail: the checks that take it out, then what caches keep."""
        never = self.resolve == "once" and not self.on_error and not self.one_address
        return math.inf if never else self.fall * self.check_every_s + self.lag_s + self.stale.high_s

    @property
    def stale(self) -> Uniform:
        """How long after a change of the set clients still use the old answer: a cache that is renewed each TTL, at a random phase."""
        return Uniform(0.0, self.ttl_s) if self.resolve == "ttl" and not self.one_address else NOTHING


class System(msgspec.Struct, frozen=True):
    """A cluster of ``nodes`` with the parameters that the plan found for it."""

    nodes: int
    replicated: bool
    """Writes need a leader and a quorum behind it."""
    given: Mapping[str, Uniform]
    asynchronous: bool = False
    """The leader acknowledges alone, and its followers refuse writes: a primary with replicas that lag behind."""
    waits_for_replicas: bool = False
    """Such a primary holds a write while it is in touch with too few replicas, instead of refusing it."""
    everybody: bool = False
    """A write waits for every node."""
    hangs: bool = False
    """A node without a leader holds a write instead of refusing it."""
    resends: bool = False
    """And sends what a lost leader had not answered to the next one: nothing of that is lost."""
    reads_without_leader: str = AS_WRITES
    """What a node without a leader does with a read that needs one."""
    deposes: bool = False
    """A node that was cut off and stood in vain ends the term of a leader that did nothing wrong (Raft without pre-vote)."""
    local_reads: bool = False
    hands_over: bool = False
    """A leader that is asked to end hands its leadership over first."""
    drains: bool = False
    """A node that is asked to end fails its health check from then on, and serves until it ends."""
    succeeds_at_once: bool = False
    """The next one is made in the place of a node that is given up when that is ordered, and not after its death."""
    succeeds_empty: bool = False
    """The next one has none of the data of the node that was given up."""
    succeeds_in_place: bool = False
    """It stands on the same machine, and waits until that takes it."""
    zones: tuple[int, ...] = ()
    """How many nodes each zone holds; empty: nobody said."""
    first_zone: str = ""
    """The data centre that ``nodes`` are in, where another one waits behind the same name (``promotion``)."""
    standby: int = 0
    """How many nodes that other one has."""
    front: Front = Front()
    client: ClientPolicy = ClientPolicy()
    back_off: BackOff | None = None
    """How the runtime waits before it starts a dead node again, where it does."""

    @property
    def replicas_needed(self) -> int:
        """A primary that acknowledges alone takes no write while it is in touch with fewer replicas."""
        return round(self.given.get("replicas_needed", NOTHING).mean_s)

    @property
    def quorum(self) -> int:
        """How many nodes must be there for a write: more than half, the primary and the replicas that it needs, or all of them."""
        if self.everybody:
            return self.nodes
        return min(self.nodes, 1 + self.replicas_needed) if self.asynchronous else majority(self.nodes)

    def need(self, name: str, what_for: str) -> Uniform:
        """A parameter; ``BadInput`` that says who must declare it."""
        found = self.given.get(name)
        if found is None:
            key = name.removesuffix("_s")
            raise BadInput(
                f"a prediction of {what_for} needs the parameter '{key}'",
                right=f"declare it under model: in target.yaml, or under predict: {{parameters: {{{key}: ...}}}} in the experiment",
            )
        return found.checked(name)

    def spread(self) -> tuple[int, ...]:
        """The zones' sizes; where the number of nodes was changed since (a sweep), as evenly as it goes."""
        if sum(self.zones) == self.nodes:
            return self.zones
        places = min(len(self.zones), self.nodes)
        return tuple(self.nodes // places + (place < self.nodes % places) for place in range(places)) if places else ()

    @property
    def heartbeat_s(self) -> float:
        """0 where nobody says it."""
        return self.given.get("heartbeat_s", NOTHING).mean_s

    @property
    def round_trip_s(self) -> float:
        return self.given.get("round_trip_s", USUAL_ROUND_TRIP).mean_s

    @property
    def randomised(self) -> bool:
        """Raft-like: followers time out by themselves; else a watcher misses heartbeats."""
        return "election_timeout_s" in self.given

    @property
    def alone(self) -> bool:
        """One node that votes for itself: no beat could come from anybody, so it waits for none."""
        return self.nodes == 1 and self.randomised

    def election(self, voters: int, loud: bool = False) -> RandomisedElection:
        """The leader's successor, by Raft's rule; ``loud``: a closed connection may start the time-out (``close_election``)."""
        if loud and "close_election_s" in self.given:
            return RandomisedElection(voters, self.quorum, self.given["close_election_s"], 0.0, self.round_trip_s).checked()
        timeout = self.need("election_timeout_s", "a leader's failure")
        heartbeat = self.need("heartbeat_s", "a leader's failure")
        refused = self.given.get("refused", NOTHING).mean_s if voters > 1 else 0.0  # one alone has nobody who could refuse
        return RandomisedElection(voters, self.quorum, timeout, heartbeat.mean_s, self.round_trip_s, refused=refused).checked()

    def watcher(self, loud: bool = False) -> HeartbeatDetection | LeaseExpiry | Watchers:
        """When a leader is given up where nobody draws time-outs: heartbeats are counted, a lease runs out, or watchers say so.

        ``loud``: its connections are closed or refused.
        """
        if "lease_s" in self.given:
            return LeaseExpiry(self.given["lease_s"].mean_s, self.need("lease_renewal_s", "a leader's failure").mean_s)
        if "watchers" in self.given:
            count = round(self.given["watchers"].mean_s)
            needed = round(self.given["watchers_needed"].mean_s) if "watchers_needed" in self.given else majority(count)
            every, wait = self.need("heartbeat_s", "a leader's failure"), self.need("timeout_s", "a leader's failure")
            if not needed <= count:
                raise BadInput(f"{needed} of {count} watchers can never give a leader up", right="watchers_needed: at most watchers")
            return Watchers(count, needed, every.mean_s, wait.mean_s, not loud, self.given.get("watchers_tick_s", NOTHING).mean_s)
        heartbeat = self.need("heartbeat_s", "a leader's failure")
        misses, timeout = self.given.get("misses"), self.given.get("timeout_s")
        if misses is None and timeout is None:
            self.need("election_timeout_s", "a leader's failure")
        # The last beat was half a round trip on its way.
        wait_s = (timeout.mean_s if timeout else 0.0) + self.round_trip_s / 2
        return HeartbeatDetection(heartbeat.mean_s, round(misses.mean_s) if misses else 1, wait_s)

    @property
    def beat_s(self) -> float:
        """Time between two words of a leader: its heartbeats, or the renewals of its key; ``BadInput`` where nobody says it."""
        renewal = self.given.get("lease_renewal_s")
        return self.need("heartbeat_s", "a partition").mean_s if renewal is None or "heartbeat_s" in self.given else renewal.mean_s

    def goes_on(self, with_it: int) -> ReplicasHeard | None:
        """How long a primary takes writes that is cut off from all replicas but so many; None: as long as it lives."""
        if not self.asynchronous or with_it >= self.replicas_needed:
            return None
        lag_s = 0.0 if self.waits_for_replicas else self.need("replicas_lag_s", "a primary that is cut off from its replicas").mean_s
        tick_s = 0.0 if self.waits_for_replicas else self.given.get("replicas_tick_s", NOTHING).mean_s
        return ReplicasHeard(max(1, self.nodes - 1), max(1, self.replicas_needed), lag_s, tick_s)

    @property
    def takeover(self) -> Uniform:
        """From giving a leader up until another one takes writes: two round trips where nobody says it."""
        return self.given.get("takeover_s", Uniform(2 * self.round_trip_s, 2 * self.round_trip_s))

    def client_evades(self, nodes: int) -> bool:
        """Do attempts at other addresses make up for so many nodes that fail?"""
        told = self.client
        evades = told.other_address and nodes < min(told.attempts, self.nodes)
        return evades and nodes * told.timeout_s + told.waits_s(nodes) < told.deadline_s

    @property
    def wait_for_leader(self) -> Uniform | None:
        """After how long without a beat a leader is given up; None where nobody beats."""
        if self.heartbeat_s <= 0:
            return None
        if self.randomised:
            return self.given["election_timeout_s"]
        misses = self.given["misses"].mean_s if "misses" in self.given else 1.0
        wait_s = misses * self.heartbeat_s + (self.given["timeout_s"].mean_s if "timeout_s" in self.given else 0.0)
        return Uniform(wait_s, wait_s)

    def towards(self, does: str) -> System:
        """As this operation meets it: what is done without a leader may differ for reads."""
        word = self.reads_without_leader
        if does != READ or word == AS_WRITES:
            return self
        return msgspec.structs.replace(self, hangs=word in ("hang", "resend"), resends=word == "resend")

    def needs_leader(self, does: str) -> bool:
        """Does this operation need a leader? Writes do, and reads unless any node answers them; all do where the name holds it alone."""
        return self.replicated and (self.front.leader_only or not (does == READ and self.local_reads))


def system(plan: Plan) -> System:
    """The judged part of the plan's cluster; ``BadInput`` for a parameter outside its domain."""
    known = {each.name: each for each in plan.parameters}
    given = {
        name: Uniform(each.value, each.value if each.high is None else each.high).checked(name)
        for name, each in known.items()
        if not each.word
    }
    dns = plan.experiment.cluster.dns
    client = plan.experiment.traffic.client
    named = client.endpoints is None
    front = Front(
        health_checked=dns.checks and named,
        ttl_s=dns.ttl_s,
        resolve=client.resolve if named else "once",
        on_error=client.resolve_on_error,
        check_every_s=dns.check.every_s,
        check_timeout_s=dns.check.timeout_s,
        fall=dns.check.fall,
        rise=dns.check.rise,
        lag_s=0.0 if dns.external is None else dns.external.lag_s,
        grids=_grids(plan),
        leader_only=named and dns.checks and dns.check.what == "role:leader",
        ready_by_quorum=named and dns.checks and dns.check.what == READY and _word(known, "ready_needs") == "quorum" and not dns.fail_open,
        staggered=dns.ours,
    )
    if dns.balancer == "engine" and named and "readiness_every_s" in given:
        front = _by_readiness(
            front,
            given,
            one_address=_word(known, "name_leads_to") == "one-address",
            ready_by_quorum=_word(known, "ready_needs") == "quorum",
        )
    if _word(known, "routing") == LEADER:  # as those of a name that holds the leader alone, at once and uncached
        front = Front(ttl_s=0.0, check_every_s=0.0, check_timeout_s=0.0, fall=1, rise=1, grids=front.grids, leader_only=True, keeps=True)
    attach = plan.experiment.cluster.attach
    if attach is not None and attach.pods is not None and named:
        front = msgspec.structs.replace(front, servers=attach.pods.answers)
    everyone = [node for node in plan.nodes if node.part == judged_part(plan)]
    first = dns.order[0] if "promotion_s" in given and dns.order else ""
    members = [node for node in everyone if not first or node.zone == first]
    return System(
        nodes=len(members),
        first_zone=first,
        standby=len(everyone) - len(members),
        replicated=plan.replication in ("quorum", "async", "all"),
        asynchronous=plan.replication == "async",
        everybody=plan.replication == "all",
        given=given,
        hangs=_word(known, "leaderless") in ("hang", "resend"),
        resends=_word(known, "leaderless") == "resend",
        reads_without_leader=_word(known, "leaderless_reads"),
        waits_for_replicas=_word(known, "without_replicas") == "hang",
        deposes=_word(known, "pre_vote") == "false",
        local_reads=_word(known, "reads") == "local",
        hands_over=_word(known, "stopping") == "handover",
        drains=_word(known, "stopping") == "drain",
        succeeds_at_once=_word(known, "successor") == "at-once",
        succeeds_empty=_word(known, "successor_data") == "lost",
        succeeds_in_place=_word(known, "successor_place") == "same-machine",
        zones=_zones(members),
        front=front,
        client=client,
        back_off=back_off.of(plan.parameters),
    )


def _by_readiness(front: Front, given: Mapping[str, Uniform], *, one_address: bool, ready_by_quorum: bool) -> Front:
    """A name of the runtime's own that holds the nodes which are ready: by their probes, or by the word of their machines."""

    def number(name: str, otherwise: float) -> float:
        return given[name].mean_s if name in given else otherwise

    lost = None
    if "machine_grace_s" in given:
        lost = SilentMachine(given["machine_grace_s"].mean_s, number("machine_word_s", 0.0), number("machine_look_s", 0.0))
    ttl_s = number("name_ttl_s", front.ttl_s)
    kept_s = min(number("name_cache_s", 0.0), ttl_s)
    # The rest of its life goes with an answer that the server itself has kept: who keeps it on top keeps it no longer than that.
    server_keeps = front.resolve == "per-request" and kept_s > 0
    return msgspec.structs.replace(
        front,
        health_checked=True,
        resolve="ttl" if server_keeps else front.resolve,
        ttl_s=kept_s if server_keeps else ttl_s,
        check_every_s=given["readiness_every_s"].mean_s,
        check_timeout_s=number("readiness_timeout_s", 0.0),
        fall=round(number("readiness_fall", 1.0)),
        rise=round(number("readiness_rise", 1.0)),
        lag_s=number("name_lag_s", 0.0),
        noticed=given.get("death_seen_s"),
        lost=lost,
        ordered=given.get("name_lag_s", NOTHING),
        one_address=one_address,
        ready_by_quorum=ready_by_quorum,
    )


def _grids(plan: Plan) -> tuple[tuple[float, float], ...]:
    """Operations of one rate are staggered, each by its share of its own slot (docs/measuring.md)."""
    rates_per_s = [each.rate_per_s for each in plan.experiment.traffic.operations.values()]
    return tuple((1.0 / rate, place / len(rates_per_s) / rate) for place, rate in enumerate(rates_per_s))


def _zones(members: Sequence[PlannedNode]) -> tuple[int, ...]:
    """Sizes, the largest first; none unless every node stands in one."""
    named = [node.zone for node in members if node.zone is not None]
    return tuple(sorted((named.count(zone) for zone in set(named)), reverse=True)) if len(named) == len(members) else ()


def _word(known: Mapping[str, Parameter], name: str) -> str:
    """The word a parameter stands for; the first of its words where nobody says one."""
    return known[name].word if name in known else parameters.KNOWN[name].words[0]
