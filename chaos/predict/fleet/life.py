"""One life of a fleet, event by event: the loop that ``nines predict --simulate`` repeats. Times in s, rates in 1/s.

``life.c`` is the same loop for machines with a C compiler. Both take the same draws from the same generator, and so give the same lives,
bit for bit: this one says what the compiled one must do.

Crashes and shocks are one Poisson process (superposition): a point of it chooses a source by rate and a node evenly, and is dropped where
that node is not running (thinning; Lewis & Shedler 1979). So only nodes that are *not* well wait in the heap, which stays small whatever
the size of the fleet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chaos.predict.fleet.groups import back_due, group_due, group_up
from chaos.predict.fleet.nodes import break_node, crew_free, elected, fall, node_due, repair, restart, voter
from chaos.predict.fleet.state import (
    BACK_DUE,
    BITS,
    CHANGES,
    COMMON,
    CRASH,
    ELECTED_DUE,
    GROUP_DUE,
    L_MAINTAIN,
    L_RESTART,
    LEFT_OUT,
    MASK,
    NODE_DUE,
    OF_A_SERVICE,
    OFF,
    PLANNED,
    REGION,
    REGION_DUE,
    REPAIR,
    RESTART,
    SIZE,
    SYNC,
    UP,
    WAIT,
    WINDOW,
    ZONE,
    ZONE_DUE,
    Model,
    State,
    draw,
    pop,
    push,
    version,
)

if TYPE_CHECKING:
    from numpy.random import Generator


def darken(m: Model, s: State, rng: Generator, now: float, zone: int, cause: int) -> None:
    s.zone_dark[zone] += 1
    s.ints[CHANGES] += 1
    if s.zone_dark[zone] > 1:
        return
    for place in range(m.zone_first[zone], m.zone_first[zone + 1]):
        node = m.zone_nodes[place]
        state = s.node_state[node]
        if state == REPAIR:
            s.node_state[node] = WAIT
            s.node_version[node] += 1
            crew_free(m, s, rng, now, m.zone_area[zone])
        elif state in (UP, SYNC, RESTART):
            fall(m, s, rng, now, node, OFF, cause)


def lighten(m: Model, s: State, rng: Generator, now: float, zone: int) -> None:
    s.zone_dark[zone] -= 1
    s.ints[CHANGES] += 1
    if s.zone_dark[zone] > 0:
        return
    for place in range(m.zone_first[zone], m.zone_first[zone + 1]):
        node = m.zone_nodes[place]
        if s.node_state[node] == OFF:
            restart(m, s, rng, now, node, L_RESTART)
        elif s.node_state[node] == WAIT:
            repair(m, s, rng, now, node)


def strike(m: Model, s: State, rng: Generator, now: float) -> None:
    """A point of the Poisson process of all crashes and shocks."""
    services = len(m.size)
    where = rng.random() * m.hazard[-1]
    source = 0
    while where >= m.hazard[source]:
        source += 1
    below = m.hazard[source - 1] if source > 0 else 0.0
    share = (where - below) / (m.hazard[source] - below)
    """Even in [0, 1) again: one draw chooses the source and who of it."""
    if source < services:
        first = m.first_node[source]
        break_node(m, s, rng, now, first + int(share * (m.first_node[source + 1] - first)), CRASH)
    elif source < 2 * services:
        service = source - services
        side = int(share * (m.first_side[service + 1] - m.first_side[service]))
        first = m.first_node[service] + side * m.size[service]
        for node in range(first, first + m.size[service]):
            break_node(m, s, rng, now, node, COMMON)
    elif source == 2 * services:
        zone = int(share * len(m.zone_area))
        if s.zone_dark[zone] == 0:
            s.zone_struck[zone] = 1
            s.events[ZONE] += 1
            darken(m, s, rng, now, zone, ZONE)
            push(s, now + draw(m, services * OF_A_SERVICE, rng), ZONE_DUE, zone)
    else:
        region = int(share * (len(m.region_first) - 1))
        if not s.region_struck[region]:
            s.region_struck[region] = 1
            s.events[REGION] += 1
            for zone in range(m.region_first[region], m.region_first[region + 1]):
                darken(m, s, rng, now, zone, REGION)
            push(s, now + draw(m, services * OF_A_SERVICE + 3, rng), REGION_DUE, region)


def planned(m: Model, s: State, rng: Generator, now: float, service: int) -> None:
    """The turn of one node: left out where its side is not whole, or its group is in an outage."""
    sides = m.first_side[service + 1] - m.first_side[service]
    side = m.first_side[service] + s.turn[service] % sides
    node = m.first_node[service] + (side - m.first_side[service]) * m.size[service] + (s.turn[service] // sides) % m.size[service]
    s.turn[service] += 1
    s.turn_at[service] += m.turn_s[service]
    if s.side_up[side] < m.size[service] or not s.side_works[side] or s.group_since[m.side_group[side]] >= 0:
        s.events[LEFT_OUT] += 1
        return
    s.events[PLANNED] += 1
    if s.side_leader[side] == node and m.handover[service] and m.size[service] > m.quorum[service]:
        s.node_state[node] = SYNC  # For a moment, so that another one is chosen.
        s.side_leader[side] = voter(m, s, rng, side)
        s.node_state[node] = UP
        s.ints[CHANGES] += 1
    fall(m, s, rng, now, node, RESTART, PLANNED)
    restart(m, s, rng, now, node, L_MAINTAIN)


def window_ends(m: Model, s: State, now: float) -> None:
    for group in range(len(s.window_down)):
        service = m.group_service[group]
        down = s.window_down[group]
        if s.group_since[group] >= 0:
            down += max(0.0, now - max(s.group_since[group] + m.hidden_s[service], s.floats[WINDOW]))
        s.windows[service] += 1
        s.windows_met[service] += 1 if down <= m.budget_s else 0
        s.window_down[group] = 0.0
    s.floats[WINDOW] = now


def _due(m: Model, s: State, rng: Generator, now: float, kind: int, which: int) -> None:
    """What was awaited happens."""
    if kind == NODE_DUE:
        node_due(m, s, rng, now, which)
    elif kind == ELECTED_DUE:
        elected(m, s, rng, now, which)
    elif kind == GROUP_DUE:
        group_due(m, s, rng, now, which)
    elif kind == BACK_DUE:
        back_due(m, s, rng, now, which)
    elif kind == ZONE_DUE:
        s.zone_struck[which] = 0
        lighten(m, s, rng, now, which)
    else:
        s.region_struck[which] = 0
        for zone in range(m.region_first[which], m.region_first[which + 1]):
            lighten(m, s, rng, now, zone)


def live(m: Model, s: State, rng: Generator, horizon_s: float) -> None:
    """From now (0 s, all up) to the horizon; ``s`` holds what happened."""
    rate = m.hazard[-1]
    strikes = rng.standard_exponential() / rate if rate > 0 else math.inf
    window = m.window_s if m.window_s > 0 else math.inf
    while True:
        service = min(range(len(m.size)), key=s.turn_at.__getitem__)
        now = min(strikes, window, s.turn_at[service], horizon_s)
        if s.ints[SIZE] > 0 and s.heap_at[0] <= now:
            now = s.heap_at[0]
            key = pop(s)
            kind, which = key >> (2 * BITS), (key >> BITS) & MASK
            if (key & MASK) == version(s, kind, which):
                _due(m, s, rng, now, kind, which)
        elif now == strikes:
            strike(m, s, rng, now)
            strikes = now + rng.standard_exponential() / rate
        elif now == window:
            window_ends(m, s, now)
            window += m.window_s
        elif now == horizon_s:
            break
        else:
            planned(m, s, rng, now, service)
    for group in range(len(s.group_since)):
        if s.group_since[group] >= 0:
            group_up(m, s, horizon_s, group)
