"""A scenario that begins later than its fault: until then all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Spell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def delayed(built: Scenario, by_s: Floats) -> Scenario:
    """The same, beginning so much later; until then all is well."""

    def later(group: Group) -> Group:
        spells = (Spell(Fate.PASS, by_s), *(Spell(each.fate, each.until_s + by_s, each.service) for each in group.spells))
        left_s, back_s = (None if time_s is None else time_s + by_s for time_s in (group.left_s, group.back_s))
        return Group(group.nodes, spells if group.spells else (), left_s, back_s)

    blocks = tuple(Block(each.name, np.where(each.until_s > 0, each.until_s + by_s, 0.0)) for each in built.blocks)
    return Scenario(built.samples, tuple(later(group) for group in built.groups), blocks)
