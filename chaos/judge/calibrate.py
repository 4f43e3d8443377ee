"""From runs to the parameters that the models need: detection, election, restart and resync as the histories show them.

    detection   a leader's fault takes effect -> the first candidacy           shifts election_timeout (or timeout, where beats count)
    election    that candidacy -> a leader stands                              round_trip = election / 2
    succession  both together, where the target stamps no candidacies          shifts the same by what the model lacks
    restart     a killed node's process begins -> it answers                   restart
    resync      it answers -> it votes                                         resync
    ending      a node is given up -> its process is dead                      ending_lag, less what its target says of ``stop``
    leaving     a node is given up -> a name of the runtime's own lists it no more  name_lag
    replacement that death -> the process of the next one begins               replacement

Only isolated faults count, and only what was seen in full. Each fitted range has the mean and the spread of what was measured; its
error is that of the mean, with Student's wider tails for few faults (variance (n-1)/(n-3) times as large), and with the resolution
of what was watched. Elections longer than the shortest time-out are lost ballots, which the model has of its own: left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.values import LEADER, VOTING, Status
from chaos.history.folder import RunFolder
from chaos.measure import timeline
from chaos.measure.faults import FaultRecord
from chaos.measure.timeline import Moment, Timeline
from chaos.plan.calibration import ORIGIN, Calibration, Fitted, Measured
from chaos.plan.plan import Plan
from chaos.plan.traits import ends_within_s, gives_up
from chaos.predict.scenarios.delays import Uniform
from chaos.predict.system import System, system

LEAST: Final = 4
"""Fewer faults than this say too little of a mean's error: nothing is fitted from them."""
LEADERLESS: Final = ("kill", "pause", "partition", "power_off")
"""Kinds of faults that take a leader away."""
GRACE_S: Final = 30.0
"""That of a node that is given up, where nobody says it."""
NAME_EVERY_S: Final = 0.05
"""How often a name that is not ours is asked."""
UNSEEN_S: Final = 0.01
"""An end that is told with the next one's beginning was not seen."""
OWN_CLOCK_S: Final = 0.02
"""Times that agents tell are of other clocks."""
ASKED_EVERY_S: Final = 0.05
"""How often a node that was started again is asked whether it answers."""


class _Samples(msgspec.Struct):
    """What all runs together show, in s; ``watched_s``: how late a moment may have been seen at most."""

    detection: list[float]
    election: list[float]
    succession: list[float]
    restart: list[float]
    resync: list[float]
    ending: list[float]
    leaving: list[float]
    replacement: list[float]
    watched_s: dict[str, float]


def calibrate(folders: Sequence[Path]) -> Calibration:
    """Measure. Raises ``BadInput`` for runs that cannot be pooled, or that show too little."""
    if not folders:
        raise BadInput("a calibration needs runs to measure", right="nines calibrate RUN... -o calibration.yaml")
    plans: list[Plan] = []
    runs: list[str] = []
    samples = _Samples([], [], [], [], [], [], [], [], {})
    for path in folders:
        folder = RunFolder(path)
        plan = folder.read_plan()
        seen = timeline.build(plan, folder.rows(), folder.read_observations())
        if plans:
            _alike(plans[0], plan, path)
        plans.append(plan)
        name = path.absolute().name if seen.run is None else seen.run.run
        if name in runs:
            raise BadInput(f"{path}: the run '{name}' stands there twice", right="each run once")
        runs.append(name)
        for trial in seen.trials:
            if len(trial.faults) == 1:
                _measure(plan, seen, trial.faults[0], samples)
    first = plans[0]
    measured = {name: _seen(values, samples.watched_s.get(name, 0.0)) for name, values in _named(samples) if len(values) >= 2}
    fitted = _fitted(system(_declared(first)), samples)
    if not fitted:
        counts = ", ".join(f"{name} {len(values)}" for name, values in _named(samples))
        raise BadInput(f"too little was seen to fit anything ({counts}; at least {LEAST} each)", right="runs with more faults")
    target = Path(first.experiment.cluster.target).name
    return Calibration(target, first.runtime, len(first.nodes), dict(first.settings), tuple(runs), measured, fitted)


def _named(samples: _Samples) -> list[tuple[str, list[float]]]:
    return [(name, getattr(samples, name)) for name in _Samples.__struct_fields__ if name != "watched_s"]


def _alike(one: Plan, other: Plan, path: Path) -> None:
    for what, mine, yours in (
        ("target", one.experiment.cluster.target, other.experiment.cluster.target),
        ("runtime", one.runtime, other.runtime),
        ("number of nodes", str(len(one.nodes)), str(len(other.nodes))),
        ("settings", str(one.settings), str(other.settings)),
    ):
        if mine != yours:
            raise BadInput(f"{path}: another {what} ({yours}) than the runs before it ({mine})", right="runs of one configuration")


def _declared(plan: Plan) -> Plan:
    """What the target says: a calibration is a correction of that, not of an earlier calibration."""
    if any(each.origin == ORIGIN for each in plan.parameters):
        raise BadInput("these runs were planned with a calibration themselves", right="runs with the target's own parameters")
    return plan


# --- what the histories show -------------------------------------------------------------------------------------------


def _measure(plan: Plan, seen: Timeline, fault: FaultRecord, samples: _Samples) -> None:
    effective_s = fault.effective_s
    if effective_s is None:
        return
    if fault.role == LEADER and fault.kind in LEADERLESS and plan.has_roles:
        _succession(seen, fault, effective_s, samples)
    spec = next((each for each in plan.experiment.faults if each.name == fault.name), None)
    if spec is not None and gives_up(fault.kind, spec.params):
        _replaced(plan, seen, fault, samples)
        _leaving(plan, seen, fault, samples)
    if fault.kind in ("kill", "power_off") and fault.healed_s is not None:
        for node in fault.target:
            _return(seen, fault, node, samples)


def _replaced(plan: Plan, seen: Timeline, fault: FaultRecord, samples: _Samples) -> None:
    """Of nodes that are given up, by their own times: how long each took to end, and the next one to begin. One that is killed when its
    grace is over, and one whose end nobody saw (it is told with the next one's beginning), say nothing of an end."""
    grace_s = _grace_s(plan, fault)
    for node in fault.target:
        mine = [moment for moment in seen.statuses if moment.node == node]
        died = _first(mine, Status.DOWN, (fault.asked_s or 0.0) - OWN_CLOCK_S, fault.explains_until_s)
        begun = None if died is None else _first(mine, Status.UP, died.at_s, fault.explains_until_s)
        if died is None or begun is None or begun.at_s - died.at_s < UNSEEN_S:
            continue
        samples.replacement.append(begun.at_s - died.at_s)
        if fault.effective_s is not None and len(fault.target) == 1 and grace_s > 0 and died.at_s - fault.effective_s < grace_s:
            samples.ending.append(max(died.at_s - fault.effective_s, 0.0))


def _leaving(plan: Plan, seen: Timeline, fault: FaultRecord, samples: _Samples) -> None:
    """When the name was first seen without a node that is given up, half of the time between two questions less."""
    ordered_s = fault.effective_s
    if plan.experiment.cluster.dns.balancer != "engine" or ordered_s is None or len(fault.target) != 1 or not _grace_s(plan, fault):
        return
    (node,) = fault.target
    gone = next((each for each in seen.sets if ordered_s < each.at_s <= fault.explains_until_s and node not in each.nodes), None)
    before = [each for each in seen.sets if each.at_s <= ordered_s]
    if gone is not None and before and node in before[-1].nodes:
        samples.leaving.append(max(gone.at_s - ordered_s - NAME_EVERY_S / 2, 0.0))
        samples.watched_s["leaving"] = NAME_EVERY_S


def _grace_s(plan: Plan, fault: FaultRecord) -> float:
    """How long the node might take to end; 0: it was killed at once."""
    spec = next((each for each in plan.experiment.faults if each.name == fault.name), None)
    given = None if spec is None else ends_within_s(spec.kind, spec.params)
    own = next((each.value for each in plan.parameters if each.name == "grace_s"), GRACE_S)
    return own if given is None else given


def _succession(seen: Timeline, fault: FaultRecord, effective_s: float, samples: _Samples) -> None:
    until_s = fault.explains_until_s
    if any(mark.what == "election_started" for mark in seen.marks):
        candidacy = _first(seen.marks, "election_started", effective_s, until_s)
        elected = None if candidacy is None else _first(seen.marks, "leader_elected", candidacy.at_s, until_s)
        if candidacy is not None and elected is not None:
            samples.detection.append(candidacy.at_s - effective_s)
            samples.election.append(elected.at_s - candidacy.at_s)
        return
    others = [moment for moment in seen.roles if moment.node not in fault.target]
    led = _first(others, f"+{LEADER}", effective_s, until_s)
    if led is not None:
        samples.succession.append(max(led.at_s - effective_s - led.resolution_s / 2, 0.0))
        samples.watched_s["succession"] = max(samples.watched_s.get("succession", 0.0), led.resolution_s)


def _return(seen: Timeline, fault: FaultRecord, node: str, samples: _Samples) -> None:
    """From the process's begin to its first answer (asked every 50 ms), and from there to its vote."""
    assert fault.healed_s is not None
    until_s = fault.explains_until_s
    begun = _first([moment for moment in seen.statuses if moment.node == node], Status.UP, (fault.effective_s or 0.0), until_s)
    if begun is None:
        return
    voting = _first([moment for moment in seen.roles if moment.node == node], f"+{VOTING}", begun.at_s, until_s)
    answers_s = None if fault.gone_s is None or len(fault.target) > 1 else fault.gone_s
    if voting is not None and answers_s is not None:
        answers_s = min(answers_s, voting.at_s)
        samples.resync.append(voting.at_s - answers_s)
        samples.watched_s["resync"] = max(samples.watched_s.get("resync", 0.0), voting.resolution_s, ASKED_EVERY_S)
    if answers_s is not None:
        samples.restart.append(max(answers_s - begun.at_s - ASKED_EVERY_S / 2, 0.0))
        samples.watched_s["restart"] = ASKED_EVERY_S


def _first(moments: Sequence[Moment], what: str, after_s: float, upto_s: float) -> Moment | None:
    return next((moment for moment in moments if moment.what == what and after_s < moment.at_s <= upto_s), None)


# --- what follows for the models ---------------------------------------------------------------------------------------


def _seen(values: Sequence[float], watched_s: float) -> Measured:
    from scipy.special import stdtrit

    mean_s, sd_s, count = fmean(values), stdev(values), len(values)
    reach_s = float(stdtrit(count - 1, 0.975)) * math.hypot(sd_s, watched_s / math.sqrt(12)) / math.sqrt(count)
    how = f"seen to within {watched_s * 1e3:.0f} ms" if watched_s else "to the moment"
    return Measured(mean_s, sd_s, max(mean_s - reach_s, 0.0), mean_s + reach_s, count, how)


def _error_s(values: Sequence[float], watched_s: float) -> float:
    """Of the mean: Student's t has the variance (n-1)/(n-3) times the normal's."""
    count = len(values)
    return math.hypot(stdev(values), watched_s / math.sqrt(12)) / math.sqrt(count) * math.sqrt((count - 1) / (count - 3))


def _range(values: Sequence[float], watched_s: float, of: str, scale: float = 1.0) -> Fitted:
    """The uniform law of the same mean and spread, as far as it stays above 0; spread from watching is not the system's."""
    mean_s = fmean(values) * scale
    spread_s = math.sqrt(max(stdev(values) ** 2 - watched_s**2 / 12, 0.0)) * scale
    half_s = min(math.sqrt(3.0) * spread_s, mean_s)
    return Fitted(mean_s - half_s, mean_s + half_s, _error_s(values, watched_s) * scale, len(values), of)


def _fitted(known: System, samples: _Samples) -> dict[str, Fitted]:
    found: dict[str, Fitted] = {}
    watched_s = samples.watched_s
    if len(samples.restart) >= LEAST:
        found["restart_s"] = _range(samples.restart, watched_s.get("restart", 0.0), "restart")
    if len(samples.resync) >= LEAST:
        found["resync_s"] = _range(samples.resync, watched_s.get("resync", 0.0), "resync")
    if len(samples.replacement) >= LEAST:
        found["replacement_s"] = _range(samples.replacement, 0.0, "replacement")
    if len(samples.leaving) >= LEAST:
        found["name_lag_s"] = _range(samples.leaving, NAME_EVERY_S, "leaving")
    if len(samples.ending) >= LEAST:
        stop_s = known.given["stop_s"].mean_s if "stop_s" in known.given else 0.0
        found["ending_lag_s"] = _range([max(each - stop_s, 0.0) for each in samples.ending], 0.0, "ending")
    if known.replicated and "heartbeat_s" in known.given:
        _fit_succession(known, samples, found)
    return found


def _fit_succession(known: System, samples: _Samples, found: dict[str, Fitted]) -> None:
    least_s = known.given["election_timeout_s"].low_s if known.randomised else math.inf
    ballots = [value for value in samples.election if value < least_s]
    if len(ballots) >= LEAST:
        found["round_trip_s"] = _range(ballots, 0.0, "election", 0.5)
        # Detection is fitted with the round trip that the models will be told: the last beat was half of it on its way.
        trip_s = found["round_trip_s"].low_s
        known = msgspec.structs.replace(known, given={**known.given, "round_trip_s": Uniform(trip_s, trip_s)})
    if len(samples.detection) >= LEAST:
        values, of, extra_s = samples.detection, "detection", 0.0
    elif len(samples.succession) >= LEAST:
        values, of, extra_s = samples.succession, "succession", 2 * known.round_trip_s
    else:
        return
    error_s = _error_s(values, samples.watched_s.get(of, 0.0))
    if known.randomised:
        timeout = known.given["election_timeout_s"]
        by_s = fmean(values) - extra_s - known.election(known.nodes - 1).detection_mean_s
        low_s = max(timeout.low_s + by_s, known.heartbeat_s * 1.01)
        found["election_timeout_s"] = Fitted(low_s, max(timeout.high_s + by_s, low_s), error_s, len(values), of)
    else:
        timeout_s = known.given["timeout_s"].mean_s if "timeout_s" in known.given else 0.0
        at_s = max(timeout_s + fmean(values) - extra_s - known.watcher().mean_s, 0.0)
        found["timeout_s"] = Fitted(at_s, at_s, error_s, len(values), of)
