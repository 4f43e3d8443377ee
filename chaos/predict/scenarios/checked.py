"""A name whose health check needs more than the node that is asked: an answer that a quorum stands behind (``ready_needs: quorum``).

    no leader     every node fails the check, though it lives: the question hangs until its time-out, or is refused
    out           after ``fall`` of a node's checks in a row, where none is led again before the last of them begins
    led again     each is in after ``rise`` checks; clients ask it when their cache is renewed

So an election may empty the name, and the name comes back after the leader. etcd's ``/health`` is such a question.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chaos.core.values import CLIENTS, DNS
from chaos.predict.scenarios.case import Case, renewals
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Stretch = tuple[Floats, Floats]

WRITE = "write"


def by_quorum(case: Case, built: Scenario, scenario: Callable[[Case], Scenario | None]) -> Scenario:
    """The same, with nodes left out of the name while the check has no quorum. ``scenario``: what the fault does to another operation."""
    front, link = case.system.front, case.link
    of_name = case.facts.what.of_name or (link is not None and not {CLIENTS, DNS}.isdisjoint((link.source, link.destination)))
    if not front.ready_by_quorum or of_name or not case.system.replicated:
        return built
    led = built if case.by_leader and not case.reads_anywhere else scenario(replace(case, does=WRITE))
    if led is None or [group.nodes for group in led.groups] != [group.nodes for group in built.groups]:
        return built
    if not any(_leaderless(group, case.samples) for group in led.groups):
        return built
    renewed, common_s = renewals(case), case.moment(front.check_every_s)
    groups: list[Group] = []
    for group, its in zip(built.groups, led.groups, strict=True):
        lost = _leaderless(its, case.samples)
        for _ in range(group.nodes):
            apart_s = front.check_every_s * len(groups) / built.nodes
            phase_s = common_s + apart_s if front.staggered else case.moment(front.check_every_s)
            groups.append(replace(group, nodes=1, unlisted=tuple(_unlisted(case, its, phase_s, renewed, each) for each in lost)))
    back_s = np.maximum.reduce([to_s for group in groups for _, to_s in group.unlisted])
    return replace(built, groups=tuple(groups), blocks=(*built.blocks, Block("dns", back_s)))


def _unlisted(case: Case, group: Group, phase_s: Floats, renewed: Callable[[Floats], Floats], lost: Stretch) -> Stretch:
    """From when until when clients do not ask a node of this group whose check has no quorum for so long; from 0 to 0 where they do."""
    front, (from_s, to_s) = case.system.front, lost
    every_s = front.check_every_s

    def next_check(after_s: Floats) -> Floats:
        return after_s + (phase_s - after_s) % every_s if every_s > 0 else after_s

    decides_s = next_check(from_s) + (front.fall - 1) * every_s
    out_s = renewed(decides_s + np.where(_refuses(group, decides_s), 0.0, front.check_timeout_s) + front.lag_s)
    if group.left_s is not None:  # what is out already, since it is dead, is out from then on
        out_s = np.where(np.isfinite(group.left_s), np.maximum(out_s, group.left_s), out_s)
    back_s = renewed(next_check(to_s) + (front.rise - 1) * every_s + front.lag_s)
    is_out = (to_s > from_s) & (decides_s < to_s) & (out_s < back_s)
    return np.where(is_out, out_s, 0.0), np.where(is_out, back_s, 0.0)


def _refuses(group: Group, at_s: Floats) -> NDArray[np.bool_]:
    """Does it say no at once then? Else it is silent."""
    refuses, begins_s = np.zeros(len(at_s), dtype=bool), np.full(len(at_s), -np.inf)
    for spell in group.spells:
        refuses |= (spell.fate is Fate.REFUSE) & (begins_s <= at_s) & (at_s < spell.until_s)
        begins_s = np.maximum(begins_s, spell.until_s)
    return refuses


def _leaderless(group: Group, samples: int) -> list[Stretch]:
    """When it does not serve what needs a leader: its spells, those that follow each other at once as one."""
    found: list[Stretch] = []
    now_s = np.zeros(samples)
    for spell in group.spells:
        ends_s = np.maximum(now_s, spell.until_s)
        if spell.fate not in (Fate.PASS, Fate.SLOW):
            found.append((now_s, ends_s))
        now_s = ends_s
    for place in range(1, len(found)):
        (from_s, to_s), (next_s, end_s) = found[place - 1], found[place]
        goes_on = (to_s > from_s) & (next_s <= to_s)
        found[place - 1] = (from_s, np.where(goes_on, from_s, to_s))
        found[place] = (np.where(goes_on, from_s, next_s), end_s)
    return found
