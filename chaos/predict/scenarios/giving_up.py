"""``delete`` and ``drain``: nodes that are given up through whoever runs them, and others that take their place.

    order        the name is told of it at once, and lets the node go (``name_lag``); clients' caches do when they are renewed
    asked to end ``ending_lag`` after the order: its machine has heard of it, a hook of the node's has run; it serves on
    dead         ``stop`` after that, ``grace`` after the order at most (a first process that ignores the request dies then)
    next one     its process is started ``replacement`` after the death, or after the order (``successor: at-once``)

    with data    it votes again ``resync`` after it is ready; ``resync_empty`` after that if the data went too (``successor_data: lost``)
    drained      where its data is on the machine that is closed (``successor_place: same-machine``), it waits until that is open again

The next one has another address. So whoever still has the old answer gets nothing there, however soon the next one is ready, and the
next one is asked when the name has taken it in. That it may stand on another machine makes no difference here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.plugin import Model
from chaos.predict.scenarios import crash
from chaos.predict.scenarios.case import ALWAYS_ASKED, Away, Case, renewals
from chaos.predict.scenarios.client import Fate, Group, Scenario, Spell
from chaos.predict.scenarios.handover import handed_over, hands_over
from chaos.predict.scenarios.later import delayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos.predict.scenarios.case import Renewed

    Floats = NDArray[np.float64]

GRACE_S: Final = 30.0
"""A pod's own, where nobody says anything else."""
DELETE: Final = "delete"
"""``by`` of a restart that gives nodes up."""


def given_up(case: Case) -> Scenario | None:
    """All victims at the same moment; None where clients would never learn of the next ones, or a majority's data went with them."""
    return _given_up(case, case.zeros())


def drained(case: Case) -> Scenario | None:
    """The same of a machine that is closed for as long as the fault lasts."""
    return _given_up(case, case.for_s if case.system.succeeds_in_place else case.zeros())


def _given_up(case: Case, opened_s: Floats) -> Scenario | None:
    """``opened_s``: when the place of the next one is free."""
    if never_found(case):
        return None
    if case.system.succeeds_empty and case.by_leader and case.system.nodes - case.victims < case.system.quorum:
        return None
    if hands_over(case):
        return _handed_over(case, opened_s)
    gone_s = gone(case)
    # With its death as its moment, it is a kill after which the next one is started by somebody else.
    starts_s = started(case, np.maximum(gone_s, opened_s)) - gone_s  # before the death, perhaps; it does not vote before that
    later = replace(case, for_s=np.maximum(starts_s, 0.0) if case.by_leader else starts_s)
    forced = bool(case.facts.params.get("forced"))
    # A fault by force is counted from the death, since that is what is seen; the others from the order.
    ordered_s = -lag(case) if forced else -gone_s

    def away(ready_s: Floats) -> Away:
        return dismissed(case, ordered_s, ready_s, renewals(case), case.victims)

    built = crash.kill(later, resync=resync(case), away=away)
    return readdressed(case, built if forced else delayed(built, gone_s), case.zeros() if forced else gone_s)


def _handed_over(case: Case, opened_s: Floats) -> Scenario:
    """The leader lets another one lead when it is asked to end. One that is deleted by force is asked as well: kubelet sends SIGTERM, and
    leaves 2 s at least until SIGKILL (``minimumGracePeriodInSeconds``, pkg/kubelet/kuberuntime/kuberuntime_container.go of v1.34)."""
    forced = bool(case.facts.params.get("forced"))
    asked_s = case.zeros() if forced else lag(case)

    def next_one(dead_s: Floats) -> Floats:
        return np.maximum(started(case, np.maximum(dead_s + asked_s, opened_s)) - asked_s, 0.0)

    def away(ready_s: Floats) -> Away:
        return dismissed(case, -lag(case) if forced else -asked_s, ready_s, renewals(case), case.victims)

    built = delayed(handed_over(case, gone(case) - asked_s, next_one, away), asked_s)
    leaver = built.groups[0]
    if leaver.left_s is None or leaver.back_s is None or case.system.front.leader_only:
        return built
    *served, refuses = leaver.spells
    old, following = addresses(1, (refuses,), leaver.left_s, leaver.back_s, served[-1].until_s, tuple(served))
    return replace(built, groups=(old, following, *built.groups[1:]))


def never_found(case: Case) -> bool:
    """Do clients keep an address for ever? Then they never learn that of the next one."""
    front = case.system.front
    return front.resolve == "once" and not front.on_error and not front.leader_only and not front.one_address


def resync(case: Case) -> str:
    """Which parameter says how long the next one takes from ready until it votes."""
    return "resync_empty_s" if case.system.succeeds_empty and "resync_empty_s" in case.system.given else "resync_s"


def lag(case: Case) -> Floats:
    """From the order until the process is asked to end."""
    return case.optional("ending_lag_s")


def gone(case: Case) -> Floats:
    """From the order to the death."""
    if case.facts.params.get("forced"):
        return case.zeros()
    asked_s = lag(case)
    own = case.system.given.get("grace_s")
    grace_s = case.number("grace_s", GRACE_S if own is None else own.mean_s)
    return np.minimum(asked_s + case.optional("stop_s"), np.maximum(asked_s, grace_s))


def started(case: Case, gone_s: Floats) -> Floats:
    """From the order until the next one's process has started, where the last one's died ``gone_s`` after it."""
    waits_s = case.draw("replacement_s", "a node that is given up")
    return waits_s if case.system.succeeds_at_once else gone_s + waits_s


def dismissed(case: Case, ordered_s: Floats, ready_s: Floats, renewed: Renewed, together: int) -> Away:
    """From when on clients ask the old address no more, and from when on the next one's, ready at ``ready_s``; so many go ``together``.

    A name that lists addresses lists none where all are going. One address that stands for all leads to those that still serve.
    """
    front = case.system.front
    if not front.health_checked:
        return ALWAYS_ASKED
    left_s = renewed(ordered_s + front.dismissal().sample(case.rng, case.samples))
    back_s = renewed(ready_s + front.admission().sample(case.rng, case.samples))
    return Away(back_s if front.one_address and together >= case.system.nodes else left_s, back_s)


def readdressed(case: Case, built: Scenario, dead_s: Floats) -> Scenario:
    """The victims, which are the first group, as two: the old address, where nobody is after the death, and the next one's."""
    victims = built.groups[0]
    if victims.left_s is None or victims.back_s is None or case.system.front.leader_only:
        return built
    old, following = addresses(victims.nodes, victims.spells, victims.left_s, victims.back_s, dead_s)
    return replace(built, groups=(old, following, *built.groups[1:]))


def addresses(
    nodes: int, spells: tuple[Spell, ...], left_s: Floats, back_s: Floats, dead_s: Floats, before: tuple[Spell, ...] = ()
) -> tuple[Group, Group]:  # fmt: skip
    """The old address serves until the death, but for what befell it ``before``, and is silent then, for those that still know it; what
    follows has ``spells``."""
    old = Group(nodes, (*before, Spell(Fate.PASS, dead_s), Spell(Fate.LOSE, np.maximum(left_s, dead_s))), left_s)
    return old, Group(nodes, spells, np.full(len(left_s), -np.inf), back_s)


MODEL: Final = Model(given_up)
DRAIN: Final = Model(drained)
