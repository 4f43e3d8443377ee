"""What a prediction does not know because its parameters were measured: a calibration from n faults knows its means only so well.

Each calibrated parameter carries the standard error of its mean. Shifting it by that much, with the same random draws, shows by how
much the mean downtime of each fault class moves; the moves of several parameters add in squares (delta method). All faults of a run
share the same true parameters, so this part does not average out: it becomes one common factor of all outages (``agreement``), and
it widens the ranges that are shown.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from chaos.plan.plan import Parameter, Plan
from chaos.predict.facts import RunFacts
from chaos.predict.figures import ClassSamples
from chaos.predict.run import draws
from chaos.results.predicted import ClassPredicted, Predicted, Production, Range, ServicePredicted

OVERALL = ""
"""The key of the spread of the run's total downtime."""
REACH = 1.96
"""Standard deviations to the ends of a 95 % range."""

Spreads = dict[str, float]


def spreads(plan: Plan, facts: RunFacts, service: str) -> Spreads:
    """Fault class -> the relative standard error of its predicted mean downtime on this service, and ``OVERALL``; {} if all is given."""
    measured = [each for each in plan.parameters if each.error > 0]
    if not measured:
        return {}
    means_s = _means_s(draws(plan, facts, service))
    counts = {each.fault_class: each.count for each in facts.classes}
    moves_s = []
    for each in measured:
        moved = _means_s(draws(_moved(plan, each), facts, service))
        moves_s.append({name: moved[name] - mean_s for name, mean_s in means_s.items()})
    found = {name: math.hypot(*(move[name] for move in moves_s)) / mean_s for name, mean_s in means_s.items() if mean_s > 0}
    total_s = math.fsum(counts[name] * mean_s for name, mean_s in means_s.items())
    if total_s > 0:
        found[OVERALL] = math.hypot(*(math.fsum(counts[name] * by_s for name, by_s in move.items()) for move in moves_s)) / total_s
    return found


def _means_s(samples: dict[str, ClassSamples]) -> dict[str, float]:
    """Mean downtime of one fault of each class, each of its durations as often as the run has it."""
    found = {}
    for name, each in samples.items():
        strata = [float(each.downtime_s[each.stratum == stratum].mean()) for stratum in range(len(each.faults))]
        found[name] = float(np.average(strata, weights=each.faults))
    return found


def _moved(plan: Plan, which: Parameter) -> Plan:
    """The plan with that parameter one standard error higher."""
    high = None if which.high is None else which.high + which.error
    shifted = msgspec.structs.replace(which, value=which.value + which.error, high=high)
    return msgspec.structs.replace(plan, parameters=tuple(shifted if each is which else each for each in plan.parameters))


def widened(predicted: Predicted, judge: str, by_service: dict[str, Spreads]) -> Predicted:
    """The same prediction with its ranges as wide as they must be."""
    services = {name: _service(each, by_service.get(name, {})) for name, each in predicted.services.items()}
    judged = services[judge]
    return msgspec.structs.replace(
        predicted, availability=judged.availability, mttr_s=judged.mttr_s, mttf_s=judged.mttf_s, mtbf_s=judged.mtbf_s,
        by_fault=judged.by_fault, services=services, production=_yearly(predicted.production, by_service.get(judge, {})),
    )  # fmt: skip


def _yearly(production: Production, spread: Spreads) -> Production:
    """With a range of the yearly figure: all classes share the parameters, so their errors add up and do not average out."""
    yearly_s = production.downtime_s_per_year
    if not spread or not yearly_s:
        return production
    relative = math.fsum(part.downtime_s_per_year * spread.get(part.cause, 0.0) for part in production.parts) / yearly_s
    factor = math.exp(REACH * relative)
    return msgspec.structs.replace(production, downtime_low_s_per_year=yearly_s / factor, downtime_high_s_per_year=yearly_s * factor)


def _service(each: ServicePredicted, spread: Spreads) -> ServicePredicted:
    overall = spread.get(OVERALL, 0.0)
    down = 0.0 if each.availability.value is None else 1.0 - each.availability.value
    by_fault = {
        name: msgspec.structs.replace(
            shown, recovery_s=_wider(shown.recovery_s, spread.get(name, 0.0)), outage_s=_outage(shown, spread, name)
        )
        for name, shown in each.by_fault.items()
    }
    available = _wide(each.availability, overall * down)
    capped = msgspec.structs.replace(available, high=None if available.high is None else min(available.high, 1.0))
    return msgspec.structs.replace(each, availability=capped, mttr_s=_wider(each.mttr_s, overall), by_fault=by_fault)


def _outage(shown: ClassPredicted, spread: Spreads, name: str) -> Range:
    return _wider(shown.outage_s, spread.get(name, 0.0))


def _wider(given: Range, relative: float) -> Range:
    """A range of a time: never below 0."""
    wide = _wide(given, relative * (given.value or 0.0))
    return msgspec.structs.replace(wide, low=None if wide.low is None else max(wide.low, 0.0))


def _wide(given: Range, error: float) -> Range:
    value, low, high = given.value, given.low, given.high
    if value is None or low is None or high is None or error <= 0:
        return given
    reach = REACH * error
    return msgspec.structs.replace(given, low=value - math.hypot(value - low, reach), high=value + math.hypot(high - value, reach))
