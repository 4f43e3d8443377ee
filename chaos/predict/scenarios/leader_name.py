"""A name that holds the leader alone (a health check that only the leader passes): whom clients ask, from when until when.

    a follower is harmed      nobody asks it: clients notice nothing
    the leader goes on        it is asked all along, or taken out and in again like any node
    the leader is lost        asked until its check has failed ``fall`` times and caches are renewed
    a new one leads           asked when its check has succeeded ``rise`` times and caches are renewed
    the old one comes back    as a follower: it stays out of the name

Clients that find the leader by themselves (``routing: leader``) stay with the one they have until it leads no more.
A cache is renewed once in each TTL, at a phase of its own; an answer without any address is kept like another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.core.errors import BadInput
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from chaos.predict.scenarios.case import Case

    Floats = NDArray[np.float64]


def scenario(
    case: Case,
    victims: Group,
    others: Group,
    blocks: tuple[Block, ...],
    led_s: Floats | None,
    ceases_s: Floats,
    silent: bool,
    renewed: Callable[[Floats], Floats],
) -> Scenario:
    """Both groups with the times at which they are asked.

    ``led_s``: when a new leader is there, 0 in samples that keep theirs; None: all do. ``ceases_s``: when the old one fails the check for
    good, ``silent`` if the check meets no answer then. ``renewed``: the renewals of the clients' cache. Where nobody new leads, a leader
    among the victims is asked as its group says.
    """
    never_s, ever_s = np.full(case.samples, -np.inf), np.full(case.samples, np.inf)
    if led_s is None:
        if case.leads:
            return _both(case, victims, Group(others.nodes, others.spells, never_s, ever_s), blocks)
        return _both(case, Group(victims.nodes, victims.spells, never_s, ever_s), others, blocks)
    front = case.system.front
    if front.resolve == "once" and not front.on_error:
        raise never_learned()
    lost = led_s > 0
    out_s = renewed(ceases_s + front.withdrawal(silent).sample(case.rng, case.samples))
    found_s = renewed(led_s + front.admission().sample(case.rng, case.samples))
    if front.keeps:
        found_s = np.maximum(found_s, out_s)
    told = (*blocks, Block("dns", np.where(lost, found_s, 0.0)))
    if not case.leads:  # too few nodes stayed for their leader to go on: it is one of those that stayed
        asked = Group(others.nodes, others.spells, np.where(lost, out_s, np.inf), np.where(lost, found_s, np.inf))
        return _both(case, Group(victims.nodes, victims.spells, never_s, ever_s), asked, told)
    left_s = ever_s if victims.left_s is None else victims.left_s
    back_s = ever_s if victims.back_s is None else victims.back_s
    again_s = found_s if others.nodes == 0 else ever_s
    # Replicas of an asynchronous primary refuse writes; others hand them on to the new leader.
    refuses = (Spell(Fate.REFUSE, np.where(lost, out_s, 0.0)),) if case.system.asynchronous else ()
    old = Group(victims.nodes, (*victims.spells, *refuses), np.where(lost, out_s, left_s), np.where(lost, again_s, back_s))
    new = Group(others.nodes, others.spells, never_s, np.where(lost, found_s, np.inf))
    return _both(case, old, new, told)


def never_learned() -> BadInput:
    """The refusal of clients that ask for the name once."""
    return BadInput("clients that resolve once never learn of a new leader behind a name that holds the leader alone", right="resolve: ttl")


def _both(case: Case, victims: Group, others: Group, blocks: tuple[Block, ...]) -> Scenario:
    return Scenario(case.samples, (victims, others) if others.nodes > 0 else (victims,), blocks)
