"""What a probe cannot see: outages shorter than as many requests in a row as open one, and what the model says how long they are.

For a constant outage X and slots of p, ``open`` = k bad ones in a row are there for sure from X = k p on, and never below (k - 1) p.
For exponential ones of mean 1/m the seen share is (m/p) (e^(-(k-1) p m) - e^(-k p m)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from chaos.core.rng import derive
from chaos.plan.plan import Plan
from chaos.predict.facts import RunFacts
from chaos.predict.scenarios import client
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.outages import TRUE, Rule
from chaos.predict.scenarios.table import scenario
from chaos.predict.system import system

SAMPLES: Final = 400
SURE: Final = 0.99
"""A class of faults of which so many are expected to be seen needs no second look."""
HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Unseen:
    """A class whose outages the probe is expected to miss, or most of what they cost."""

    fault_class: str
    outage_s: float
    """How long clients are without an answer after such a fault, where they are at all: the model's mean."""
    seen: float
    """The share of that downtime that the probe sees."""


def unseen(plan: Plan, facts: RunFacts, service: str, shares: dict[str, float]) -> list[Unseen]:
    """The classes that the probe of ``service`` is too coarse for. ``shares``: class -> the share expected to be noticed by the rule."""
    traffic = plan.experiment.traffic
    rule = Rule(1.0 / traffic.operations[service].rate_per_s, traffic.outage.open, traffic.outage.close, traffic.outage.merge_s)
    known, does = system(plan), plan.operations[service].does
    found = []
    for each in facts.classes:
        if not each.count or shares.get(each.fault_class, 1.0) >= SURE:
            continue
        rng = np.random.default_rng(derive(0, "models", "unseen", each.fault_class, service))
        for_s = np.resize(np.minimum(np.array(each.for_s), facts.span_s), SAMPLES)
        built = scenario(Case(known.towards(does), each, does, for_s, rng))
        if built is None:
            continue
        true_s = client.see(built, traffic.client, TRUE, rng).downtime_s
        some = true_s > 0
        if not some.any():
            continue
        mean_s = float(true_s[some].mean())
        share = min(1.0, float(client.see(built, traffic.client, rule, rng).downtime_s.mean()) / float(true_s.mean()))
        if mean_s < rule.open * rule.slot_s or share < HALF:
            found.append(Unseen(each.fault_class, mean_s, share))
    return found
