"""What a prediction takes for granted, in plain words: each can be wrong, and then so is the prediction."""

from __future__ import annotations

from chaos.core.units import show_s
from chaos.experiment.production import PLANNED, ZONE
from chaos.plan import back_off
from chaos.plan.plan import Plan
from chaos.plan.traits import gives_up
from chaos.predict.facts import RunFacts
from chaos.predict.system import NOTHING, System


def of(plan: Plan, known: System, facts: RunFacts) -> list[str]:
    """The assumptions that this prediction rests on; those that do not matter here are left out."""
    kinds = {each.kind for each in facts.classes}
    said = ["Faults are isolated: each has fully recovered before the next one strikes."]
    said += ["A fault strikes at a random moment between two heartbeats, two health checks and two renewals of the cached name."]
    if known.replicated and known.randomised:
        low, high = (f"{end * 1e3:g} ms" for end in (known.given["election_timeout_s"].low_s, known.given["election_timeout_s"].high_s))
        said.append(f"Each follower waits U({low}, {high}) since the last heartbeat before it stands for election.")
        said.append("Two that stand within half a round trip split the vote.")
        refused = known.given.get("refused", NOTHING).mean_s
        said += [f"Of all ballots {refused:.0%} are refused; then all wait once more."] * (refused > 0)
    elif known.replicated:
        said.append("A watcher counts missed heartbeats; a leader stands two round trips after it has noticed.")
    if known.replicated and {"close_detection_s", "close_election_s"} & set(known.given):
        said.append("A process that dies closes its connections, and is given up sooner than a node that is silent.")
    if known.asynchronous:
        said.append("The primary acknowledges alone: what its replicas have not yet when it dies is lost, and clients are not told.")
    said += _of_lone_primaries(known)
    if known.replicated:
        held = "holds writes until there is one" if known.hangs else "refuses writes at once"
        said.append(f"A node without a leader {held}.")
        said += ["Reads that wait for a leader are answered by the next one."] * (known.reads_without_leader == "resend")
        if not known.asynchronous:
            said += _of_returning_nodes(known)
    said += _of_the_name(plan, known) + _of_the_clients(plan, known)
    if "dns" in kinds:
        said.append("Caches are renewed each TTL at a random phase and serve nothing stale; without an answer a request fails.")
    if "power_off" in kinds:
        said.append("A machine that is off answers nothing: each attempt there costs its whole time-out, until it is started again.")
    said += _of_the_runtime(known, facts)
    if any(known.front.servers.get(each.role.removeprefix("zone:")) for each in facts.classes):
        said.append("The name's servers stand where they stood when the plan was made; those on a machine that goes answer nobody.")
    if "kill" in kinds:
        said.append("A killed process refuses from its death until it listens again.")
    if kinds & {"pause", "partition"}:
        said.append("A paused node, and one behind a dropped link, answers nothing: each attempt there costs its whole time-out.")
    if any(each.fault_class == "partition/groups" for each in facts.classes):
        said.append("Before a split, each node is equally likely to lead.")
    return said + _of_ends(known, facts) + _of_production(plan, known)


def _of_ends(known: System, facts: RunFacts) -> list[str]:
    """What nodes do that are asked to end, or given up."""
    said = []
    given_up = [each for each in facts.classes if gives_up(each.kind, each.params)]
    if given_up:
        serves = "" if known.front.ordered is None else "The name lets a pod go when that is ordered, before its process ends. "
        said.append(f"{serves}A pod that is given up serves until it is dead; the next one in its place has another address.")
    if any(each.kind in ("stop", "restart") and each not in given_up for each in facts.classes):
        leaves = "hands its leadership over first" if known.hands_over else "just ends, and its followers must notice"
        drains = "fails its health check at once, and " if known.drains else ""
        said.append(f"A node that is asked to end {drains}serves until it is dead; a leader {leaves}.")
    return said


def _of_returning_nodes(known: System) -> list[str]:
    """What the end of a partition does in systems that vote."""
    patience = "A leader that hears no quorum steps down after the shortest election time-out"
    if not known.deposes:
        return [f"{patience}; a node that rejoins deposes nobody."]
    if known.front.leader_only:
        return [f"{patience}.", "Left out: the election that a node begins which was cut off, when it is back; the name would follow it."]
    return [f"{patience}; a node that was cut off for longer ends the leader's term when it is back, and there is an election."]


def _of_lone_primaries(known: System) -> list[str]:
    """What a primary does that is cut off from its replicas."""
    said: list[str] = []
    if not known.asynchronous:
        return said
    if known.replicas_needed:
        does = "holds its writes" if known.waits_for_replicas else "refuses writes once their last word is too old"
        many = f"{known.replicas_needed} replica{'s' if known.replicas_needed > 1 else ''}"
        said.append(f"A primary that is in touch with fewer than {many} {does}.")
    if "lease_s" in known.given and "lease_retry_s" in known.given:
        said.append("A leader that cannot renew its key gives up by itself, after its next turn and the time that it tries.")
    return said


def _of_the_runtime(known: System, facts: RunFacts) -> list[str]:
    """What it does by itself."""
    rule = known.back_off
    if rule is None or not any(back_off.of_kind(each.kind, each.params) for each in facts.classes):
        return []
    return [
        f"The runtime starts a dead node again after 0 s, {show_s(rule.first_s)}, twice that, and so on to {show_s(rule.most_s)}, and "
        f"forgets a death after {show_s(rule.forgets_s)}."
    ]


def _of_the_name(plan: Plan, known: System) -> list[str]:
    """Whom clients ask."""
    said = []
    if known.first_zone:
        said.append("The second data centre has a whole copy when the first one is lost; then the name turns to it.")
    if known.front.health_checked and plan.experiment.cluster.dns.balancer != "engine":
        said.append(
            "The health check needs a leader and its quorum: without one it fails for every node, and the name may hold nobody."
            if known.front.ready_by_quorum
            else "The health check fails for nodes that are down or cut off from it, and for no others."
        )
    if known.front.leader_only:
        said.append("The name holds the leader alone: followers are not asked, and an old leader that comes back is a follower.")
    if plan.experiment.cluster.dns.fail_open:
        said.append("A name that fails open is as any other: in the model all checks fail only where no node would answer.")
    if known.client.endpoints is None:
        said.append("Clients pick evenly among the addresses of the cached answer.")
    if known.front.on_error:
        said.append("A connection that fails makes all clients ask the name again, and take its answer from then on.")
    if known.front.resolve == "once" and known.client.endpoints is None and not known.front.on_error:
        said.append("Clients ask the name once and keep the answer for ever: what the health check takes out, they go on asking.")
    external = plan.experiment.cluster.dns.external
    if external is not None and external.health_checked:
        said.append("The name service is not ours: its checks are taken to follow the rule that 'dns.check' tells of them.")
    elif external is not None:
        said.append("The name service is not ours: it is taken to list every node, dead or alive.")
    if plan.experiment.cluster.dns.balancer == "engine" and known.front.health_checked:
        said.append("The runtime's own name holds the nodes that are ready; a death is seen by the runtime before a probe fails.")
        said += ["A node is ready only with a leader and its quorum: without one the name may hold nobody."] * known.front.ready_by_quorum
    elif plan.experiment.cluster.dns.balancer == "engine":
        said.append("The engine's own name server lists every node that has an address, dead or alive, in an even order.")
    return said


def _of_the_clients(plan: Plan, known: System) -> list[str]:
    """What of their policy the prediction has, in its own way, and what it leaves out."""
    client, said = known.client, []
    if client.endpoints is not None:
        said.append("Clients ask the endpoints that they know, and no name: what a health check sees changes nothing for them.")
        if client.endpoints.order != "random":
            said.append("The first of the endpoints is as likely to be any node.")
        if client.endpoints.order == "sticky":
            said.append("Left out: that clients stay with the endpoint that answered last. Each request begins with the first one.")
    if client.retry_budget is not None:
        said.append("Left out: the retry budget. Every request makes all its attempts.")
    if client.pool is not None:
        said.append("Left out: the clients' pool. Each attempt goes to an address of its own choice, and no connection is waited for.")
    if client.patient:
        said.append(
            "Left out: connections that stay half-open. A request without a time-out of its own fails at its deadline, and no later one."
        )
    if any(spec.demand is not None for spec in plan.experiment.traffic.operations.values()):
        said.append("Left out: the changing rate. The model's nodes answer as fast at the highest rate as at the lowest.")
    if client.redirects:
        said.append("A redirect takes no time: a node that sends clients on to the leader is as one that hands their requests on.")
    return said


def _of_production(plan: Plan, known: System) -> list[str]:
    """What the rates of zones, plans and common causes, and the parts around the cluster take for granted."""
    said = []
    if plan.experiment.predict.production:
        said.append("Production fault rates are the experiment's claim, not a measurement.")
        said.append("In production a killed process is started again at once; other faults last as long as here.")
    kinds = {rate.kind for rate in plan.experiment.predict.production}
    if ZONE in kinds:
        said.append("A zone that fails goes dark as a whole and comes back as a whole; then its nodes are started again.")
    if PLANNED in kinds:
        said.append("Planned restarts take one node of a whole cluster at a time, and wait while it is not whole.")
    if "common_cause" in known.given:
        said.append("A common cause strikes all nodes at one moment, and leaves none of them.")
    if "coverage" in known.given:
        said.append("Of a leader's crash that is not covered the cluster does not recover by itself: somebody resets all of it.")
    if plan.experiment.predict.around is not None:
        said.append("The parts around the cluster fail independently of each other and of the cluster.")
    return said
