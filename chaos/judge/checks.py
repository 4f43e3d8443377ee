"""The assumptions that every figure of a run stands on, each looked at instead of believed.

``fail`` makes the run unknown (exit 3), whatever its figures say. ``unknown`` is advice: it could not be looked at, or it bears on
the prediction and not on what was measured (shares of addresses); it is shown and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.units import show_s, show_share
from chaos.judge import checks_clients, checks_leaders
from chaos.judge import trend as checks_trend
from chaos.measure import bad_requests as timeline_bad
from chaos.measure import slots as timeline_slots
from chaos.measure.faults import FaultRecord, together
from chaos.measure.slots import BAD, GOOD, MISSING
from chaos.measure.timeline import ServiceTimeline, Timeline
from chaos.plan.plan import Plan
from chaos.results import check_names, reasons
from chaos.results.verdict import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING_SHARE: Final = 0.01
"""More missing slots than this and the prober's word is not enough."""
SHARES_P: Final = 0.001
"""Below this chance a spread over the addresses is called uneven."""
SHARES_LEAST: Final = 200
"""Fewer picks than this and shares are not looked at."""
SHOWN: Final = 4

HEALED: Final = check_names.HEALED

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"


def check(plan: Plan, timeline: Timeline) -> list[Check]:
    """All of them, in the order a reader would ask."""
    return [
        _ran_to_its_end(timeline),
        _history_whole(timeline),
        _traffic_complete(plan, timeline),
        _baseline_quiet(plan, timeline),
        _nodes_lived(timeline),  # a node that does not come back is why faults after it were skipped, so it is told first
        _slots_present(plan, timeline),
        _faults_took_effect(plan, timeline),
        _faults_apart(timeline),
        checks_clients.well_before_faults(plan, timeline),
        checks_leaders.check(plan, timeline),
        _all_healed(timeline),
        _clock(timeline),
        checks_clients.every_node_asked(plan, timeline, _candidates(plan)),
        *checks_clients.certificates(plan),
        _addresses(plan, timeline),
        _classes_alike(plan, timeline),
        checks_trend.check(timeline),
    ]


def _verdict(name: str, troubles: Sequence[str], fine: str) -> Check:
    if not troubles:
        return Check(name, PASS, fine)
    more = f" and {len(troubles) - SHOWN} more" if len(troubles) > SHOWN else ""
    return Check(name, FAIL, "; ".join(troubles[:SHOWN]) + more)


def _ran_to_its_end(timeline: Timeline) -> Check:
    name = check_names.COMPLETE
    if timeline.ended is None:
        return Check(name, FAIL, "the history stops before the end of the run")
    troubles = [timeline.ended.bug] if timeline.ended.bug else []
    conditions = dict.fromkeys(row.condition for row in timeline.aborting)
    troubles += list(conditions) or ([timeline.ended.aborted] if timeline.ended.aborted else [])
    if timeline.ended.signal is not None and not troubles:
        troubles.append(f"interrupted by signal {timeline.ended.signal}")
    return _verdict(name, troubles, "neither aborted nor interrupted")


def _history_whole(timeline: Timeline) -> Check:
    """A row that cannot be read may have been the one that mattered."""
    return _verdict(check_names.HISTORY, [timeline.damage] if timeline.damage else [], "every row of it was read")


def _traffic_complete(plan: Plan, timeline: Timeline) -> Check:
    name = check_names.TRAFFIC
    if timeline.traffic is None:
        return Check(name, FAIL, "the traffic never started")
    if timeline.traffic_ended is None:
        return Check(name, FAIL, "the prober did not say that it had written its last record")
    troubles = []
    for service, seen in timeline.services.items():
        promised = timeline.traffic_ended.slots.get(service)
        written = int(np.count_nonzero(seen.slots.recorded))
        if promised is None:
            troubles.append(f"{service}: the prober did not say how many slots were due")
        elif written < promised:
            troubles.append(f"{service}: {promised - written} of {promised} due slots have no record")
        elif not promised:
            troubles.append(f"{service}: no request was due")
        if seen.slots.strays:
            troubles.append(f"{service}: {seen.slots.strays} records belong to no slot")
    total = sum(len(seen.slots.due_s) for seen in timeline.services.values())
    short_s = plan.duration_s - timeline.end_s
    halted = (
        timeline.ended is None or timeline.aborting or timeline.ended.aborted or timeline.ended.signal is not None or timeline.ended.bug
    )
    if short_s > 0.01 * plan.duration_s and not halted:
        troubles.append(f"the requests ended {show_s(short_s)} before the end that was planned")
    fine = f"{total} requests, each with its record"
    return _verdict(name, troubles, fine + (f", ended {show_s(short_s)} early" if short_s > 0.01 * plan.duration_s else ""))


def _baseline_quiet(plan: Plan, timeline: Timeline) -> Check:
    name = check_names.BASELINE
    if plan.experiment.baseline_s <= 0:
        return Check(name, UNKNOWN, "the experiment has no baseline: what is broken without faults cannot be told")
    troubles, next_steps = [], []
    total = natural = 0
    for service, seen in timeline.services.items():
        before = seen.slots.state[: seen.observed.start]
        total += len(before)
        bad, good = int(np.count_nonzero(before == BAD)), int(np.count_nonzero(before == GOOD))
        allowed = math.floor(plan.experiment.baseline_errors * len(before) + 1e-9)
        natural += bad
        if bad > allowed:
            why = timeline_bad.of_service(timeline, seen, timeline_bad.BASELINE, slice(0, seen.observed.start))
            troubles.append(f"{service}: {bad} of {len(before)} failed before any fault{_but(plan, allowed)}: {reasons.sentence(why)}")
            next_steps.append(reasons.way_out(why))
        elif not good:
            troubles.append(f"{service}: no slot of it was seen")
    if timeline.end_s < plan.experiment.baseline_s * (1 - 1e-9):
        troubles.append(f"it was cut off after {show_s(timeline.end_s)}")
    found = _verdict(
        name,
        troubles,
        f"{total} requests in {show_s(plan.experiment.baseline_s)}, {f'{natural} failed, as allowed' if natural else 'none failed'}",
    )
    return msgspec.structs.replace(found, next_step=next((step for step in next_steps if step), ""))


def _but(plan: Plan, allowed: int) -> str:
    return f" ('errors: {plan.experiment.baseline_errors:.3g}' allows {allowed})" if plan.experiment.baseline_errors else ""


def _slots_present(plan: Plan, timeline: Timeline) -> Check:
    name = check_names.ON_TIME
    troubles: dict[str, list[str]] = {}
    worst, under = 0.0, 0
    for service, seen in timeline.services.items():
        under += seen.missing_under_edges
        states = seen.slots.state
        share = int(np.count_nonzero(states == MISSING)) / len(states) if len(states) else 0.0
        worst = max(worst, share)
        if share > MISSING_SHARE:
            troubles.setdefault(service, []).append(
                f"{service}: {show_share(share)} of the requests are missing (limit {show_share(MISSING_SHARE)})"
            )
        after = [fault for fault, why in seen.untold.items() if not why.outage]
        if after:
            told_of = f"{', '.join(after[:SHOWN])}{f' and {len(after) - SHOWN} more' if len(after) > SHOWN else ''}"
            troubles.setdefault(service, []).append(f"{service}: of {told_of} nothing can be told: {seen.untold[after[0]].reason}")
        # Each leaves its edge open by half a slot: of few of them the downtime does not depend.
        if seen.missing_under_edges * seen.rule.slot_s / 2 > MISSING_SHARE * seen.downtime_s:
            troubles.setdefault(service, []).append(f"{service}: {seen.missing_under_edges} missing requests lie at the edge of an outage")
    told = [trouble for service in troubles for trouble in troubles[service]]
    if told and plan.judge not in troubles:
        # The objectives and the agreement speak of the judged service, whose slots are sound: advice, not a failure.
        return Check(name, UNKNOWN, "; ".join(told))
    found = _verdict(
        name, told, f"at most {show_share(worst)} of a service's requests are missing, {under or 'none'} at the edge of an outage"
    )
    return msgspec.structs.replace(found, next_step=_on_an_idle_machine(timeline, list(troubles))) if told else found


def _on_an_idle_machine(timeline: Timeline, services: Sequence[str]) -> str:
    """What would have kept requests on time: an idle machine, or a rate whose half slot is wider than all but 1 % of the lateness. Where
    the run's own is, a few requests were late at the wrong moment: another rate is no help that is known."""
    rates_per_s = []
    for service in services:
        seen = timeline.services[service]
        late_s = seen.slots.late_s
        least_s = float(np.quantile(late_s, 1 - MISSING_SHARE, method="higher")) if len(late_s) else math.inf
        if seen.rule.slot_s / 2 < least_s < math.inf:
            step = 10.0 ** (math.floor(math.log10(0.5 / least_s)) - 1)
            rates_per_s.append(f"at most {math.floor(0.5 / least_s / step) * step:g}/s of {service}")
    ended = timeline.traffic_ended
    busy = ""
    if ended is not None and ended.load_1m is not None and ended.load_1m > ended.cpus:
        busy = f" (its load was {ended.load_1m:.1f} on {ended.cpus} processor{'s' * (ended.cpus != 1)})"
    slower = f", or with {', '.join(rates_per_s)}" if rates_per_s else ""
    return f"run it again on an idle machine{busy}{slower}"


def _faults_took_effect(plan: Plan, timeline: Timeline) -> Check:
    name = check_names.EFFECTIVE
    planned = [fault for fault in timeline.faults if fault.planned]
    if not planned:
        return Check(name, PASS, "none was planned")
    in_vain = [fault for fault in planned if fault.status in ("failed", "skipped") or not fault.took_effect]
    alike: dict[str, list[str]] = {}
    for fault in in_vain:
        alike.setdefault(_what_became(fault), []).append(fault.id)
    troubles = [
        f"{', '.join(ids[:SHOWN])}{f' and {len(ids) - SHOWN} more' if len(ids) > SHOWN else ''} {what}" for what, ids in alike.items()
    ]
    return _verdict(name, troubles, f"{len(planned)} of {len(plan.windows)}")


def _what_became(fault: FaultRecord) -> str:
    failed = "failed after it took effect" if fault.took_effect else "did not take effect"
    what = {"failed": failed, "skipped": "skipped"}.get(fault.status, "never seen to take effect")
    return f"{what}: {fault.reason}" if fault.reason else what


def _faults_apart(timeline: Timeline) -> Check:
    name = check_names.APART
    ordered = sorted((fault for fault in timeline.faults if fault.took_effect), key=lambda fault: fault.effective_s or 0.0)
    troubles = [
        f"{later.id} took effect before the cluster was seen settled after {fault.id}"
        for fault, later in pairwise(ordered)
        if together(fault, later) and not (fault.overlap or later.overlap)
    ]
    return _verdict(name, troubles, "each fault found the cluster settled" if ordered else "no fault took effect")


def _all_healed(timeline: Timeline) -> Check:
    troubles = [f"{fault.id} ({fault.kind}): {fault.reason}" for fault in timeline.faults if fault.status == "leftover"]
    troubles += [f"left: {what}" for what in timeline.ended.left] if timeline.ended else []
    return _verdict(HEALED, troubles, "verified" if timeline.trials else "there was none")


def _nodes_lived(timeline: Timeline) -> Check:
    deaths = [moment for moment in timeline.statuses if moment.what == "down" and moment.cause == "by-itself"]
    told = [fault.not_back for fault in timeline.faults if fault.not_back]
    troubles = told + [
        f"{death.node} died by itself at {death.at_s:.1f} s" for death in deaths if not any(death.node in text.split() for text in told)
    ]
    return _verdict(check_names.LIVED, troubles, "no node died without a fault of ours")


def _clock(timeline: Timeline) -> Check:
    """Outages are the prober's own. What other clocks may be off by can only make phases unknown."""
    bound_s = timeline.clock_bound_s
    coarse = [name for name, seen in timeline.services.items() if timeline.clock_too_coarse(seen.rule.slot_s)]
    if not bound_s:
        return Check(check_names.CLOCK, PASS, "nodes and prober share one")
    if not coarse:
        return Check(check_names.CLOCK, PASS, f"within {show_s(bound_s)}")
    if not math.isfinite(bound_s):
        return Check(check_names.CLOCK, PASS, f"a node's clock was set: phases of {', '.join(coarse)} are unknown")
    return Check(check_names.CLOCK, PASS, f"within {show_s(bound_s)}, more than half a slot: phases of {', '.join(coarse)} are unknown")


def _classes_alike(plan: Plan, timeline: Timeline) -> Check:
    """Faults of one class are pooled and predicted as one: their fields should be the same."""
    name = check_names.ALIKE
    fields = {spec.name: spec.params for spec in plan.experiment.faults}
    kinds: dict[str, list[object]] = {}
    for trial in timeline.trials:
        found = [fields.get(fault.name) for fault in trial.faults]
        if found not in kinds.setdefault(trial.fault_class, []):
            kinds[trial.fault_class].append(found)
    mixed = [fault_class for fault_class, found in kinds.items() if len(found) > 1]
    if mixed:
        return Check(name, UNKNOWN, f"{', '.join(mixed)}: entries with different fields are pooled, and predicted by the first")
    return Check(name, PASS, f"{len(kinds)} class{'' if len(kinds) == 1 else 'es'}")


# --- who was asked -----------------------------------------------------------------------------------------------------


def measured_picks(plan: Plan, timeline: Timeline) -> dict[str, int]:
    """How often each node was the first choice, while the name's set was complete and no fault was in force: {} if too seldom."""
    complete = _complete(plan, timeline)
    picks = dict.fromkeys(_candidates(plan), 0)
    for seen in timeline.services.values():
        asked = seen.slots.address[(seen.slots.attempts == 1) & _within(seen, complete)]
        for number, count in timeline_slots.count_addresses(asked).items():
            node = timeline.node_at(number)
            if node in picks:
                picks[node] += count
    return picks if sum(picks.values()) >= SHARES_LEAST else {}


def _candidates(plan: Plan) -> list[str]:
    part = plan.experiment.cluster.dns.part or (plan.nodes[0].part if plan.nodes else "")
    return [node.name for node in plan.nodes if node.part == part]


def _complete(plan: Plan, timeline: Timeline) -> list[tuple[float, float]]:
    """When every client's cache held all nodes, and nothing was being done to any."""
    everyone = frozenset(_candidates(plan))
    ttl_s = plan.experiment.cluster.dns.ttl_s
    spans = []
    for place, seen in enumerate(timeline.sets):
        until_s = timeline.sets[place + 1].at_s if place + 1 < len(timeline.sets) else timeline.end_s
        if frozenset(seen.nodes) == everyone:
            spans.append((seen.at_s + ttl_s, until_s))
    for fault in timeline.faults:
        if fault.effective_s is None:
            continue
        from_s, until_s = fault.began_s or fault.effective_s, fault.explains_until_s
        pieces = [piece for start_s, stop_s in spans for piece in ((start_s, min(stop_s, from_s)), (max(start_s, until_s), stop_s))]
        spans = [(start_s, stop_s) for start_s, stop_s in pieces if start_s < stop_s]
    return spans


def _within(seen: ServiceTimeline, spans: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(seen.slots.due_s), dtype=np.bool_)
    for from_s, until_s in spans:
        start, stop = np.searchsorted(seen.slots.due_s, (from_s, until_s))
        inside[start:stop] = True
    return inside


def _addresses(plan: Plan, timeline: Timeline) -> Check:
    name = check_names.EVEN
    dns = plan.experiment.cluster.dns
    picks = measured_picks(plan, timeline)
    total = sum(picks.values())
    if len(_candidates(plan)) < 2 or dns.order:
        return Check(name, PASS, "the name does not spread its clients")
    client = plan.experiment.traffic.client
    if client.endpoints is not None or client.redirects or not client.draws_evenly:
        return Check(name, PASS, "clients do not spread their requests by the name")
    if not total:
        return Check(name, UNKNOWN, "too few requests while every node was in the set")
    weights = {node: dns.weights.get(_zone(plan, node), 1.0) if dns.weights else 1.0 for node in picks}
    expected = {node: total * weight / math.fsum(weights.values()) for node, weight in weights.items()}
    if any(value <= 0 for value in expected.values()):
        return Check(name, UNKNOWN, "some nodes have no weight")
    from scipy.special import chdtrc

    chi2 = math.fsum((picks[node] - expected[node]) ** 2 / expected[node] for node in picks)
    p_value = float(chdtrc(len(picks) - 1, chi2))
    shares = ", ".join(f"{node} {show_share(count / total)}" for node, count in picks.items())
    said = f"{shares} of {total} first choices, while the name was complete and no fault in force; chi-square p = {p_value:.2g}"
    # The prediction uses the measured shares, so an uneven spread is told and does not make the run unknown.
    return Check(name, PASS if p_value >= SHARES_P else UNKNOWN, said)


def _zone(plan: Plan, node: str) -> str:
    return next((planned.zone or "" for planned in plan.nodes if planned.name == node), "")
