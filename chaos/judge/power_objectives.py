"""What may come of each objective: runs of the plan are drawn from the prediction, and each objective is asked of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.rng import derive
from chaos.core.search import least_count
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.judge.objectives import COMPARE, PASS, UNKNOWN, held
from chaos.judge.power_agreement import AgreementPower
from chaos.measure.means import MANY, mean
from chaos.measure.ratios import scheduled_availability
from chaos.plan.plan import Plan
from chaos.predict import sample_size as planning
from chaos.results.observed import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chaos.predict.figures import ClassSamples

    Floats = NDArray[np.float64]

RUNS: Final = 20_000
CLAIMED_RUNS: Final = 200
"""Runs whose intervals are worked out: each costs a bootstrap."""
TRIED_RUNS: Final = 100
"""The same for each number of faults that is tried."""
DECIDES: Final = 0.8
"""The chance of a decision that is asked of a number of faults."""
SEED: Final = 0
"""Of the resamples, the same for all runs: what differs is what is drawn from the prediction."""
UNTOLD: Final = {
    "slo_ratio": "the models do not predict how long good answers take",
    "lost_writes": "the models do not predict what becomes of data",
    "mttf": "the time between failures is the schedule's, and that was our choice: no run can claim it",
    "mtbf": "the time between failures is the schedule's, and that was our choice: no run can claim it",
}
"""Measures of which no chance can be told, and why."""


class Chance(msgspec.Struct, frozen=True):
    """What may come of one objective; None where the models say nothing about its measure."""

    name: str
    want: str
    basis: str
    passes: float | None
    fails: float | None
    faults_needed: int | None = None
    """For a claim: how many of these faults would decide it with a chance of 80 %."""
    reason: str = ""
    """Why no chance can be told."""


class Objectives:
    """Draws runs of the plan, and asks each objective of them."""

    def __init__(self, plan: Plan, span_s: float, draws: Mapping[str, ClassSamples], slot_s: float) -> None:
        import numpy as np

        self._plan, self._span_s, self._slot_s = plan, span_s, slot_s
        rng = np.random.default_rng(derive(0, "power"))
        downs, outages, recoveries, kinds = [], [], [], []
        picked = []
        for name, samples in draws.items():
            for index in samples.pick(rng, RUNS):
                picked.append((samples, index))
                downs.append(samples.downtime_s[index])
                outages.append(samples.outages[index])
                recoveries.append(samples.recovery_s[index])
                kinds.append(name.partition("/")[0])
        losses = [samples.lost_s[index] for samples, index in picked]
        empty = np.zeros((0, RUNS))
        self._downs_s: Floats = np.array(downs) if downs else empty
        self._outages = np.array(outages) if outages else empty
        self._recoveries_s: Floats = np.array(recoveries) if recoveries else empty
        self._lost_s: Floats = np.array(losses) if losses else empty
        self._kinds = kinds

    def chances(self, agreed: AgreementPower | None) -> list[Chance]:
        """One for each objective."""
        specs = sorted(self._plan.experiment.objectives, key=lambda spec: spec.fault is not None)
        return [self._chance(spec, agreed) for spec in specs]

    def _chance(self, spec: ObjectiveSpec, agreed: AgreementPower | None) -> Chance:
        name = spec.measure if spec.fault is None else f"{spec.measure} of {spec.fault}"
        if spec.measure == "agreement" and agreed is not None:
            return Chance(name, spec.text, spec.basis, agreed.consistent, 0.0, agreed.faults_needed)
        if spec.bound is None or not len(self._downs_s):
            return Chance(name, spec.text, spec.basis, None, None, reason="the plan has no fault that the models know")
        if spec.measure in ("recovery", "outage"):
            passes = self._worst(spec, spec.bound)
            return Chance(name, spec.text, spec.basis, 0.0 if spec.basis == "claim" else passes, 1.0 - passes, None)
        known = (
            ("availability", "success_ratio", "mttr")
            if spec.basis == "claim"
            else ("availability", "success_ratio", "mttr", "mttf", "mtbf")
        )
        if spec.measure not in known:
            why = UNTOLD.get(spec.measure, "") or f"nothing is claimed of the {spec.measure} by an interval that a plan could foresee"
            return Chance(name, spec.text, spec.basis, None, None, reason=why)
        if spec.basis == "claim":
            return self._claim(name, spec, spec.bound)
        values = self._values(spec.measure)
        right = COMPARE[spec.bound.op]
        passes = sum(right(float(value), spec.bound.value) for value in values) / len(values) if len(values) else 0.0
        return Chance(name, spec.text, spec.basis, passes, 1.0 - passes)

    def _values(self, measure: str) -> Floats:
        """The value of each run that shows one."""
        down_s, outages = self._downs_s.sum(axis=0), self._outages.sum(axis=0)
        if measure == "availability":
            shown: Floats = 1.0 - down_s / self._span_s
            return shown
        if measure == "success_ratio":
            good: Floats = 1.0 - self._lost_s.sum(axis=0) / self._span_s
            return good
        some = outages > 0
        over = {"mttr": down_s, "mttf": self._span_s - down_s, "mtbf": self._span_s + 0.0 * down_s}[measure]
        found: Floats = over[some] / outages[some]
        return found

    def _worst(self, spec: ObjectiveSpec, bound: Bound) -> float:
        """The chance that every single one is on the right side."""
        import numpy as np

        kind = next((each.kind for each in self._plan.experiment.faults if each.name == spec.fault), None)
        rows = [place for place, each in enumerate(self._kinds) if kind in (None, each)]
        if not rows:
            return 0.0
        values = (self._recoveries_s if spec.measure == "recovery" else self._downs_s)[rows]
        right: Callable[[float, float], bool] = COMPARE[bound.op]
        worst = values.max(axis=0) if bound.op in ("<=", "<") else values.min(axis=0)
        return float(np.mean([right(float(value), bound.value) for value in worst]))

    def _claim(self, name: str, spec: ObjectiveSpec, bound: Bound) -> Chance:
        """By the interval that the run itself would be given."""
        answers = [held(bound, self._estimate(spec.measure, run), "claim") for run in range(CLAIMED_RUNS)]
        passes = answers.count(PASS) / len(answers)
        fails = 1.0 - passes - answers.count(UNKNOWN) / len(answers)
        return Chance(name, spec.text, spec.basis, passes, max(fails, 0.0), self._needed(spec.measure, bound))

    def _estimate(self, measure: str, run: int) -> Estimate:
        if measure == "mttr":
            some = self._downs_s[:, run] > 0
            return _mttr(self._downs_s[some, run], self._outages[some, run], self._slot_s)
        every_s = (self._lost_s if measure == "success_ratio" else self._downs_s)[:, run]
        return scheduled_availability(every_s.tolist(), float(every_s.sum()), self._span_s, SEED, self._slot_s)

    def _needed(self, measure: str, bound: Bound) -> int | None:
        """The least number of such faults of which four runs in five decide the claim, by the interval that would judge them.

        Where thousands are needed the law's spread and its distance to the limit tell: a claim errs by 1 % above and 2.5 % below.
        """
        import numpy as np

        downs_s = (self._lost_s if measure == "success_ratio" else self._downs_s).ravel()
        outages: Floats = self._outages.ravel().astype(np.float64)
        if measure == "mttr":
            downs_s, outages = downs_s[self._downs_s.ravel() > 0], outages[self._downs_s.ravel() > 0]
        if not downs_s.any():
            return None
        span_s = self._span_s / len(self._downs_s)
        mean_s = float(downs_s.sum() / np.maximum(outages, 1).sum()) if measure == "mttr" else float(downs_s.mean())
        limit_s = bound.value if measure == "mttr" else (1.0 - bound.value) * span_s
        if limit_s <= 0 or math.isclose(limit_s, mean_s):
            return None
        ratio = max(limit_s / mean_s, mean_s / limit_s)
        roughly = planning.faults_needed(float(downs_s.std() / downs_s.mean()), ratio, 0.99 if limit_s > mean_s else 0.975)
        if roughly is None or roughly > MANY:
            return roughly
        rng = np.random.default_rng(derive(0, "needed", measure))

        def decides(faults: int) -> bool:
            said = []
            for _ in range(TRIED_RUNS):
                picks = rng.integers(0, len(downs_s), faults)
                if measure == "mttr":
                    found = _mttr(downs_s[picks], outages[picks], self._slot_s)
                else:
                    found = scheduled_availability(
                        downs_s[picks].tolist(), float(downs_s[picks].sum()), span_s * faults, SEED, self._slot_s
                    )
                said.append(held(bound, found, "claim"))
            return said.count(UNKNOWN) <= (1.0 - DECIDES) * TRIED_RUNS

        needed = least_count(decides, planning.LEAST, 4 * MANY)
        if needed is None or measure != "mttr":
            return needed
        # Only noticed faults count towards it.
        return math.ceil(needed * self._downs_s.size / max(len(downs_s), 1))


def _mttr(downs_s: Floats, outages: Floats, slot_s: float) -> Estimate:
    parts = [max(1, int(count)) for count in outages]
    return mean(downs_s.tolist(), SEED, slot_s, parts=parts) if parts else Estimate(None)
