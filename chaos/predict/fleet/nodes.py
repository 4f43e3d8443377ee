"""Nodes and sides: who runs, who votes, who leads, and who waits for a repair crew. Times in s.

node    UP -> WAIT (crash) -> REPAIR (a crew has it) -> SYNC -> UP;    UP -> OFF (its zone is dark) -> RESTART -> SYNC -> UP
side    the replicas of a group in one region: works with a leader, which needs a quorum; without ``takeover`` with a quorum
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.predict.fleet.groups import side_changed
from chaos.predict.fleet.state import (
    CHANGES,
    CONSTANT,
    CRASH,
    ELECTED_DUE,
    L_REPAIR,
    L_RESYNC,
    L_TAKEOVER,
    NODE_DUE,
    OF_A_SERVICE,
    REPAIR,
    RESTART,
    SYNC,
    UP,
    WAIT,
    Model,
    State,
    draw,
    push,
)

if TYPE_CHECKING:
    from numpy.random import Generator


def look(m: Model, s: State, rng: Generator, now: float, side: int, cause: int) -> None:
    """After a change of its voters: is there a quorum, a leader, an election?"""
    service = m.side_service[side]
    enough = s.side_up[side] >= m.quorum[service]
    works = enough
    if m.led[service]:
        if not enough:
            if s.side_leader[side] >= 0:
                s.side_leader[side] = -1
                s.ints[CHANGES] += 1
            if s.side_electing[side]:
                s.side_electing[side] = 0
                s.side_version[side] += 1
        elif s.side_leader[side] < 0 and not s.side_electing[side]:
            s.side_electing[side] = 1
            push(s, now + draw(m, service * OF_A_SERVICE + 3 * L_TAKEOVER, rng), ELECTED_DUE, side)
        works = s.side_leader[side] >= 0
    if works != (s.side_works[side] != 0):
        s.side_works[side] = 1 if works else 0
        side_changed(m, s, rng, now, side, cause)


def voter(m: Model, s: State, rng: Generator, side: int) -> int:
    """One of its voting nodes, each as likely."""
    service = m.side_service[side]
    first = m.first_node[service] + (side - m.first_side[service]) * m.size[service]
    while True:
        node: int = first + int(rng.random() * m.size[service])
        if s.node_state[node] == UP:
            return node


def elected(m: Model, s: State, rng: Generator, now: float, side: int) -> None:
    s.side_electing[side] = 0
    s.side_version[side] += 1
    s.side_leader[side] = voter(m, s, rng, side)
    s.ints[CHANGES] += 1
    look(m, s, rng, now, side, CRASH)


def fall(m: Model, s: State, rng: Generator, now: float, node: int, into: int, cause: int) -> None:
    """A node runs no more."""
    before = s.node_state[node]
    s.node_state[node] = into
    s.node_version[node] += 1
    s.ints[CHANGES] += 1
    if before == UP:
        side = m.node_side[node]
        s.side_up[side] -= 1
        if s.side_leader[side] == node:
            s.side_leader[side] = -1
            s.ints[CHANGES] += 1
        look(m, s, rng, now, side, cause)


def vote(m: Model, s: State, rng: Generator, now: float, node: int) -> None:
    s.node_state[node] = UP
    s.node_version[node] += 1
    s.ints[CHANGES] += 1
    s.side_up[m.node_side[node]] += 1
    look(m, s, rng, now, m.node_side[node], CRASH)


def started(m: Model, s: State, rng: Generator, now: float, node: int) -> None:
    """It runs, and catches up with the others if that takes time."""
    law = m.side_service[m.node_side[node]] * OF_A_SERVICE + 3 * L_RESYNC
    if m.laws[law] == CONSTANT and m.laws[law + 1] == 0:
        vote(m, s, rng, now, node)
        return
    s.node_state[node] = SYNC
    s.node_version[node] += 1
    s.ints[CHANGES] += 1
    push(s, now + draw(m, law, rng), NODE_DUE, node)


def restart(m: Model, s: State, rng: Generator, now: float, node: int, law: int) -> None:
    """It starts by itself: no crew is needed."""
    s.node_state[node] = RESTART
    s.node_version[node] += 1
    push(s, now + draw(m, m.side_service[m.node_side[node]] * OF_A_SERVICE + 3 * law, rng), NODE_DUE, node)


def repair(m: Model, s: State, rng: Generator, now: float, node: int) -> None:
    """A broken node gets a crew, or waits for one; in a dark zone nobody works."""
    zone = m.node_zone[node]
    area = m.zone_area[zone]
    if s.zone_dark[zone] > 0 or s.node_queued[node]:
        return
    if s.crews[area] == 0:
        first, room = m.queue_first[area], m.queue_first[area + 1] - m.queue_first[area]
        s.queue[first + (s.queue_at[area] + s.queue_length[area]) % room] = node
        s.queue_length[area] += 1
        s.node_queued[node] = 1
        return
    if s.crews[area] > 0:
        s.crews[area] -= 1
    s.node_state[node] = REPAIR
    s.node_version[node] += 1
    push(s, now + draw(m, m.side_service[m.node_side[node]] * OF_A_SERVICE + 3 * L_REPAIR, rng), NODE_DUE, node)


def crew_free(m: Model, s: State, rng: Generator, now: float, area: int) -> None:
    """Goes to who waits longest; those whose zone went dark meanwhile ask again when it is back."""
    if s.crews[area] < 0:
        return
    s.crews[area] += 1
    first, room = m.queue_first[area], m.queue_first[area + 1] - m.queue_first[area]
    while s.queue_length[area] > 0 and s.crews[area] > 0:
        node = s.queue[first + s.queue_at[area]]
        s.queue_at[area] = (s.queue_at[area] + 1) % room
        s.queue_length[area] -= 1
        s.node_queued[node] = 0
        repair(m, s, rng, now, node)


def break_node(m: Model, s: State, rng: Generator, now: float, node: int, cause: int) -> None:
    if s.node_state[node] in (UP, SYNC):
        s.events[cause] += 1
        fall(m, s, rng, now, node, WAIT, cause)
        repair(m, s, rng, now, node)


def node_due(m: Model, s: State, rng: Generator, now: float, node: int) -> None:
    state = s.node_state[node]
    if state == SYNC:
        vote(m, s, rng, now, node)
        return
    started(m, s, rng, now, node)
    if state == REPAIR:
        crew_free(m, s, rng, now, m.zone_area[m.node_zone[node]])
