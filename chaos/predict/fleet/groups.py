"""Groups, which are what clients see: up while their active side works; failover to the other side, and the way back. Times in s.

DETECTING -> SWITCHING to the other side, or WANTING until that one works. A switch that has begun ends, whatever comes back meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.predict.fleet.state import (
    BACK_DUE,
    CAUSES,
    CHANGES,
    DETECTING,
    DOWN,
    GROUP_DUE,
    L_BACK,
    L_DETECT,
    L_SWITCH,
    LAST,
    MOST,
    NORMAL,
    OF_A_SERVICE,
    SWITCHES,
    SWITCHING,
    WANTING,
    WINDOW,
    Model,
    State,
    draw,
    push,
)

if TYPE_CHECKING:
    from numpy.random import Generator


def levels(m: Model, s: State, now: float, more: int) -> None:
    """So many more groups are down from now on."""
    down = s.ints[DOWN]
    for level in range(len(m.levels)):
        if down >= m.levels[level]:
            s.level_s[level] += now - s.floats[LAST]
    s.floats[LAST] = now
    s.ints[DOWN] = down + more
    s.ints[MOST] = max(s.ints[MOST], down + more)


def group_down(m: Model, s: State, now: float, group: int, cause: int) -> None:
    if s.group_since[group] < 0:
        levels(m, s, now, 1)
        s.group_since[group] = now
        s.group_cause[group] = cause


def group_up(m: Model, s: State, now: float, group: int) -> None:
    """Clients hide the first ``hidden_s`` of each outage."""
    service = m.group_service[group]
    seen_from = s.group_since[group] + m.hidden_s[service]
    levels(m, s, now, -1)
    s.group_since[group] = -1.0
    if now > seen_from:
        place = service * len(CAUSES) + s.group_cause[group]
        s.outages[place] += 1
        s.lost_s[place] += now - seen_from
        s.longest_s[service] = max(s.longest_s[service], now - seen_from)
        if m.window_s > 0:
            s.window_down[group] += now - max(seen_from, s.floats[WINDOW])


def side_changed(m: Model, s: State, rng: Generator, now: float, side: int, cause: int) -> None:
    """A side works from now on, or no more."""
    works, group, service = s.side_works[side], m.side_group[side], m.side_service[side]
    if m.sides[service] == 1:
        if works:
            group_up(m, s, now, group)
        else:
            group_down(m, s, now, group, cause)
        return
    home = m.first_side[service] + 2 * (group - m.first_group[service])
    law = service * OF_A_SERVICE
    mode = s.group_mode[group]
    if mode != SWITCHING and side == home + s.group_active[group]:
        s.group_version[group] += 1
        if works:
            s.group_mode[group] = NORMAL
            group_up(m, s, now, group)
        else:
            s.group_mode[group] = DETECTING
            group_down(m, s, now, group, cause)
            push(s, now + draw(m, law + 3 * L_DETECT, rng), GROUP_DUE, group)
    elif works and mode == WANTING:
        s.group_mode[group] = SWITCHING
        s.group_version[group] += 1
        push(s, now + draw(m, law + 3 * L_SWITCH, rng), GROUP_DUE, group)
    if side == home and s.group_active[group] != 0:
        s.back_version[group] += 1
        if works:
            push(s, now + draw(m, law + 3 * L_BACK, rng), BACK_DUE, group)


def group_due(m: Model, s: State, rng: Generator, now: float, group: int) -> None:
    """Its outage has been noticed, or it has been switched over."""
    service = m.group_service[group]
    home, law = m.first_side[service] + 2 * (group - m.first_group[service]), service * OF_A_SERVICE
    s.group_version[group] += 1
    if s.group_mode[group] == DETECTING:
        if s.side_works[home + 1 - s.group_active[group]]:
            s.group_mode[group] = SWITCHING
            push(s, now + draw(m, law + 3 * L_SWITCH, rng), GROUP_DUE, group)
        else:
            s.group_mode[group] = WANTING
        return
    s.ints[CHANGES] += 1
    s.events[SWITCHES] += 1
    s.group_active[group] = 1 - s.group_active[group]
    s.back_version[group] += 1
    if s.group_active[group] != 0 and s.side_works[home]:
        push(s, now + draw(m, law + 3 * L_BACK, rng), BACK_DUE, group)
    if s.side_works[home + s.group_active[group]]:
        s.group_mode[group] = NORMAL
        group_up(m, s, now, group)
    else:
        s.group_mode[group] = DETECTING
        push(s, now + draw(m, law + 3 * L_DETECT, rng), GROUP_DUE, group)


def back_due(m: Model, s: State, rng: Generator, now: float, group: int) -> None:
    """Its home has worked long enough: clients are led back without an outage, if they are not in one."""
    s.back_version[group] += 1
    if s.group_mode[group] == NORMAL:
        s.ints[CHANGES] += 1
        s.group_active[group] = 0
    else:
        push(s, now + draw(m, m.group_service[group] * OF_A_SERVICE + 3 * L_BACK, rng), BACK_DUE, group)
