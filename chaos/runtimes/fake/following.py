"""Whom each virtual node takes for its leader, and when it gives up one that it no longer hears.

    hears its leader --silence--> still believes in it, and hands requests on in vain --its patience, or an election--> knows of no leader
          ^---------------------- the next beat of a leader that reaches it, or the first entry of a new one ---------------------'

What a node handed on to a leader that is lost is given up when the node gives the leader up (``leaderless: refuse``), or never
(``hang``). A leader that died, or whose door is closed, is a loud loss: what is handed on to it fails at once, and yet the node waits for
its time-out, as followers of a quorum do that count beats only.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from chaos.core.clock import to_ns
from chaos.core.values import Link, Status
from chaos.runtimes.fake.faces import Face, Meets

if TYPE_CHECKING:
    from collections.abc import Collection

    from chaos.runtimes.fake.simulation import Simulation, VirtualNode


class Following:
    """The beliefs of all nodes of one simulation, whose streams and events it uses."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._silences = 0

    def listen(self) -> None:
        """Something has changed: who hears the leader now, and who no longer?"""
        for node in self._sim.nodes.values():
            if node.status is Status.PAUSED:
                continue
            if not node.answers or node.claims:
                node.follows, node.silence, node.hearing = None, 0, 0
            elif self._hears(node):
                self._hear(node)
            else:
                node.hearing = 0
                self._miss(node)

    def elected(self, winner: str) -> None:
        """The first entry of a new leader reaches all that it can reach."""
        for node in self._sim.nodes.values():
            if node.answers and node.info.name != winner and self._sim.reaches(winner, node.info.name) and not node.claims:
                node.follows, node.silence, node.hearing = winner, 0, 0

    def give_up(self, names: Collection[str]) -> None:
        """They stand for election, or were asked to vote in one: none of them has a leader."""
        for name in names:
            self._sim.nodes[name].follows = None
            self._sim.nodes[name].silence = 0

    def follow(self, node: VirtualNode) -> None:
        """It has heard of the leader that there is."""
        if self._hears(node):
            node.follows, node.silence, node.hearing = self._sim.leader, 0, 0

    def handed_on(self, node: VirtualNode, way_ns: int) -> Face:
        """What a request meets that this node, which does not lead, hands on to the leader that it believes in."""
        sim, parameters = self._sim, self._sim.parameters
        leader, hangs = node.follows, parameters.hangs_without_leader
        if leader is None:
            return Face(Meets.WAITS if hangs else Meets.ERROR, way_ns)
        link, found = Link(node.info.name, leader), sim.nodes[leader]
        cut = sim.cut(link)
        if cut is None and found.status is Status.PAUSED:
            return Face(Meets.HELD if hangs else Meets.WAITS, way_ns)
        if cut is None and found.answers and found.claims:
            commit_ns = sim.commit_ns(leader)
            if commit_ns is None:
                return Face(Meets.DROPPED)
            return Face(Meets.ANSWER, way_ns + to_ns(parameters.round_trip_s) + sim.delay_ns(link) + commit_ns)
        if hangs:
            return Face(Meets.LOST)
        return Face(Meets.DROPPED) if cut == "drop" else Face(Meets.ERROR, way_ns)

    def _hears(self, node: VirtualNode) -> bool:
        leader = self._sim.leader
        if leader is None or not (self._sim.nodes[leader].answers and self._sim.nodes[leader].claims):
            return False
        return self._sim.reaches(leader, node.info.name)

    def _hear(self, node: VirtualNode) -> None:
        leader = self._sim.leader
        if node.follows == leader:
            node.silence = node.hearing = 0
        elif not node.hearing:  # what it knows of it comes with the next beat
            self._silences += 1
            node.hearing = self._silences
            self._sim.after(self._sim.beat_s(), functools.partial(self._beat, node, node.hearing))

    def _beat(self, node: VirtualNode, number: int) -> None:
        if node.hearing != number:
            return
        node.hearing = 0  # a frozen node misses this beat, and listens for another when it goes on
        if node.answers and self._hears(node):
            self.follow(node)
            self._sim.changed()

    def _miss(self, node: VirtualNode) -> None:
        if node.follows is None or node.silence:
            return
        self._silences += 1
        node.silence = self._silences
        self._sim.after(self._sim.patience_left_s(), functools.partial(self._lose_patience, node, node.silence))

    def _lose_patience(self, node: VirtualNode, number: int) -> None:
        # Voters that can elect somebody lose their leader together, by the election's own draws.
        if node.silence == number and not self._sim.elects(node.info.name):
            self.give_up([node.info.name])
            self._sim.changed()
