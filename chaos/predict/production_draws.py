"""Draws of the downtime of one fault of each class, for a system and for others that differ from it in a parameter.

All systems are played with the same draws, so that only the parameter makes the difference. Most parameters do not touch most classes:
where clients cannot tell the changed system's scenario from the first system's, the first system's draws are its own as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from chaos.core.rng import derive
from chaos.experiment.production import ZONE
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Plan
from chaos.predict import overlaps
from chaos.predict.facts import ClassFacts
from chaos.predict.scenarios import client
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.client import Group, Scenario
from chaos.predict.scenarios.outages import TRUE
from chaos.predict.scenarios.table import scenario, slots_each
from chaos.predict.system import System

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SLOTS: Final = 60_000
LEAST_SAMPLES: Final = 100
MOST_SAMPLES: Final = 4_000
CAP_S: Final = 3600.0
"""A production fault that nobody takes back is counted for so long."""
LONG_S: Final = 30.0
"""Of a longer fault so much is played, and twenty failovers: by then a service has recovered, or does only when the fault is taken back."""


class Share(msgspec.Struct, frozen=True):
    """One fault class at its production rate."""

    facts: ClassFacts
    per_s: float
    for_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What one class does to one system, and its draws."""

    scenario: Scenario
    policy: ClientPolicy
    whole_s: float
    played_s: float
    state: Any
    """Of the generator, before clients asked."""
    downs_s: Floats


class Draws:
    """Of each class, made once for each system; the first system's are kept."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        """Samples of each class: the same for all parameters, so that the draws are."""
        self._first: tuple[System | None, dict[str, Floats]] = (None, {})
        self._last: tuple[System | None, dict[str, Floats]] = (None, {})
        self._played: dict[str, Played] = {}

    def downs_s(self, known: System, plan: Plan, share: Share) -> Floats:
        """The downtime of one fault of this class, a draw an entry; ``plan`` says which operation is judged."""
        if self._first[0] is None:
            self._first = (known, {})
        if self._first[0] is not known and self._last[0] is not known:
            self._last = (known, {})
        kept = (self._first if self._first[0] is known else self._last)[1]
        found = kept.get(share.facts.fault_class)
        if found is None:
            found = kept[share.facts.fault_class] = self._draw_s(known, plan, share)
        return found

    def _draw_s(self, known: System, plan: Plan, share: Share) -> Floats:
        name, does = share.facts.fault_class, plan.operations[plan.judge].does
        rng = np.random.default_rng(derive(0, "models", "production", name))
        for_s = known.need("zone_outage_s", "zones that fail").mean_s if share.facts.role == ZONE else share.for_s
        whole_s = for_s if math.isfinite(for_s) else CAP_S
        played_s = min(whole_s, LONG_S + 20 * overlaps.failover_s(known, does))
        lasts_s = np.full(MOST_SAMPLES, played_s)
        case = Case(known.towards(does), share.facts, does, lasts_s, rng)
        if name not in self._sizes:
            slots = slots_each(case, known.client, TRUE.slot_s)
            self._sizes[name] = int(np.clip(SLOTS / slots, LEAST_SAMPLES, MOST_SAMPLES))
        built = scenario(replace(case, for_s=lasts_s[: self._sizes[name]]))
        if built is None:
            return np.zeros(1)
        state, first = rng.bit_generator.state, self._played.get(name)
        as_long = first is not None and (first.whole_s, first.played_s, first.state) == (whole_s, played_s, state)
        if first is not None and as_long and alike(first.scenario, first.policy, built, known.client):
            return first.downs_s
        seen = client.see(built, known.client, TRUE, rng)
        # An outage that has lasted until the fault was taken back would have lasted on, as much of the time as before.
        lasted = np.where(seen.recovery_s >= played_s, seen.downtime_s / np.maximum(seen.recovery_s, played_s), 0.0) if played_s else 0.0
        downs_s = np.asarray(seen.downtime_s + lasted * (whole_s - played_s))
        self._played.setdefault(name, Played(built, known.client, whole_s, played_s, state, downs_s))
        return downs_s


def alike(one: Scenario, policy: ClientPolicy, other: Scenario, others: ClientPolicy) -> bool:
    """Would clients, with the same draws, see the very same of both? What no request is there to meet makes no difference."""
    if policy != others or one.samples != other.samples or [each.nodes for each in one.groups] != [each.nodes for each in other.groups]:
        return False
    horizon_s = one.horizon_s(policy)
    if not _same(horizon_s, other.horizon_s(policy)) or not _same(one.hopeless_s(), other.hopeless_s()):
        return False
    if not _same(one.first_due_s, other.first_due_s):
        return False
    ended_s = horizon_s + policy.deadline_s
    return all(_alike(mine, yours, ended_s) for mine, yours in zip(one.groups, other.groups, strict=True))


def _alike(one: Group, other: Group, ended_s: Floats) -> bool:
    """Do both do the same until the last request has ended?"""
    if [(each.fate, each.service) for each in one.spells] != [(each.fate, each.service) for each in other.spells]:
        return False
    return (
        all(_same(mine.until_s, yours.until_s, ended_s) for mine, yours in zip(one.spells, other.spells, strict=True))
        and _same(one.left_s, other.left_s, ended_s)
        and _same(one.back_s, other.back_s, ended_s)
    )


def _same(one: Floats | None, other: Floats | None, ended_s: Floats | None = None) -> bool:
    if one is None or other is None:
        return one is other
    if one is other:
        return True
    if ended_s is None:
        return bool(np.array_equal(one, other))
    return bool(np.array_equal(np.minimum(one, ended_s), np.minimum(other, ended_s)))
