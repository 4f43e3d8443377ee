"""What one life of a fleet needs and counts, its draws, and the heap of what is due. Times in s, rates in 1/s.

An event that was overtaken stays in the heap with an old version, and is dropped when its time comes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from numpy.random import Generator

Numbers: TypeAlias = Any
"""An array of numpy for the compiled loop, a list for Python, which reads it ten times as fast."""

UP, SYNC, WAIT, REPAIR, OFF, RESTART = range(6)
NORMAL, DETECTING, WANTING, SWITCHING = range(4)
NODE_DUE, ELECTED_DUE, GROUP_DUE, BACK_DUE, ZONE_DUE, REGION_DUE = range(6)
CONSTANT, UNIFORM, EXPONENTIAL, LOGNORMAL = range(4)
LAWS: Final = ("repair", "restart", "resync", "takeover", "detect", "switch", "back", "maintain")
L_REPAIR, L_RESTART, L_RESYNC, L_TAKEOVER, L_DETECT, L_SWITCH, L_BACK, L_MAINTAIN = range(8)
OF_A_SERVICE: Final = 3 * len(LAWS)
CAUSES: Final = ("crash", "common_cause", "zone", "region", "maintenance")
CRASH, COMMON, ZONE, REGION, PLANNED = range(5)
EVENTS: Final = (*CAUSES, "planned_left_out", "switches")
LEFT_OUT, SWITCHES = 5, 6
# Places in ``ints`` and ``floats``.
SIZE, CHANGES, DOWN, MOST = range(4)
LAST, WINDOW = range(2)
BITS: Final = 28
MASK: Final = (1 << BITS) - 1


class Model(NamedTuple):
    """What does not change in a life. Nodes, sides and groups are numbered; those of a service, a side, a group stand together."""

    hazard: Numbers
    """Rates, summed up: crashes of each service, common causes of each service, zones, regions."""
    laws: Numbers
    """Three numbers a law, ``OF_A_SERVICE`` a service, then the lengths of zone and region outages."""
    size: Numbers
    quorum: Numbers
    led: Numbers
    sides: Numbers
    hidden_s: Numbers
    turn_s: Numbers
    handover: Numbers
    first_node: Numbers
    first_side: Numbers
    first_group: Numbers
    node_side: Numbers
    node_zone: Numbers
    side_service: Numbers
    side_group: Numbers
    group_service: Numbers
    zone_area: Numbers
    zone_first: Numbers
    zone_nodes: Numbers
    region_first: Numbers
    queue_first: Numbers
    levels: Numbers
    window_s: float
    budget_s: float


class State(NamedTuple):
    """What changes, and what is counted."""

    node_state: Numbers
    node_version: Numbers
    node_queued: Numbers
    side_up: Numbers
    side_leader: Numbers
    side_electing: Numbers
    side_version: Numbers
    side_works: Numbers
    group_active: Numbers
    group_mode: Numbers
    group_version: Numbers
    back_version: Numbers
    group_since: Numbers
    """When the group went down; negative while it is up."""
    group_cause: Numbers
    window_down: Numbers
    zone_dark: Numbers
    """By how many outages, its own and its region's."""
    zone_struck: Numbers
    region_struck: Numbers
    crews: Numbers
    """Free ones of each area; -1: always one."""
    queue: Numbers
    queue_at: Numbers
    queue_length: Numbers
    heap_at: Numbers
    heap_key: Numbers
    turn_at: Numbers
    turn: Numbers
    ints: Numbers
    floats: Numbers
    outages: Numbers
    lost_s: Numbers
    longest_s: Numbers
    windows: Numbers
    windows_met: Numbers
    level_s: Numbers
    events: Numbers


# --- draws and the heap ------------------------------------------------------------------------------------------------


def draw(m: Model, at: int, rng: Generator) -> float:
    kind = m.laws[at]
    first: float = m.laws[at + 1]
    second: float = m.laws[at + 2]
    if kind == CONSTANT:
        return first
    if kind == UNIFORM:
        return first + (second - first) * rng.random()
    if kind == EXPONENTIAL:
        return first * rng.standard_exponential()
    return math.exp(first + second * rng.standard_normal())


def version(s: State, kind: int, which: int) -> int:
    found: int = 0
    if kind == NODE_DUE:
        found = s.node_version[which]
    elif kind == ELECTED_DUE:
        found = s.side_version[which]
    elif kind == GROUP_DUE:
        found = s.group_version[which]
    elif kind == BACK_DUE:
        found = s.back_version[which]
    return found & MASK


def sift_up(s: State, place: int, at: float, key: int) -> None:
    while place > 0:
        parent = (place - 1) >> 1
        if s.heap_at[parent] <= at:
            break
        s.heap_at[place], s.heap_key[place] = s.heap_at[parent], s.heap_key[parent]
        place = parent
    s.heap_at[place], s.heap_key[place] = at, key


def push(s: State, at: float, kind: int, which: int) -> None:
    if s.ints[SIZE] == len(s.heap_at):  # Then at least half of it was overtaken: it holds twice what can be awaited.
        kept = 0
        for place in range(s.ints[SIZE]):
            when, key = s.heap_at[place], s.heap_key[place]
            if (key & MASK) == version(s, key >> (2 * BITS), (key >> BITS) & MASK):
                sift_up(s, kept, when, key)
                kept += 1
        s.ints[SIZE] = kept
    key = (kind << (2 * BITS)) | (which << BITS) | version(s, kind, which)
    sift_up(s, s.ints[SIZE], at, key)
    s.ints[SIZE] += 1


def pop(s: State) -> int:
    key: int = s.heap_key[0]
    s.ints[SIZE] -= 1
    size = s.ints[SIZE]
    at, last = s.heap_at[size], s.heap_key[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and s.heap_at[child + 1] < s.heap_at[child]:
            child += 1
        if s.heap_at[child] >= at:
            break
        s.heap_at[place], s.heap_key[place] = s.heap_at[child], s.heap_key[child]
        place = child
    s.heap_at[place], s.heap_key[place] = at, last
    return key
