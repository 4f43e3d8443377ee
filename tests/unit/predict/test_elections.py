"""Elections over a wide area: the delay block against a play of the messages, one event at a time, written from the paper on Raft.

Each message takes half a round trip. The leader has beaten every h and dies at a random moment; followers that hear nothing stand,
ask for votes, and vote once a term (Ongaro & Ousterhout 2014, 5.2). The outage ends when the new leader's first entry is acknowledged.
"""

from __future__ import annotations

import heapq
import itertools
import random

import numpy as np
import pytest

from chaos.predict.scenarios.delays import RandomisedElection, Uniform

PLAYS = 3000


class Node:
    """A follower that survived."""

    def __init__(self) -> None:
        self.term = 0
        self.voted_in = -1
        self.votes = 0
        self.due_s = 0.0
        """When its patience ends."""


def play(generator: random.Random, nodes: int, low_s: float, high_s: float, beat_s: float, trip_s: float) -> float:
    """From the death of the leader (at 0) to the acknowledgement of the next one's first entry."""
    one_way_s, quorum = trip_s / 2, nodes // 2 + 1
    heard_s = -generator.uniform(0.0, beat_s) + one_way_s  # when the last beat came in
    alive = [Node() for _ in range(nodes - 1)]
    order = itertools.count()
    events: list[tuple[float, int, str, int, int, int]] = []

    def say(at_s: float, what: str, to: int, about: int, term: int) -> None:
        heapq.heappush(events, (at_s, next(order), what, to, about, term))

    def wait(who: int, from_s: float) -> None:
        alive[who].due_s = from_s + generator.uniform(low_s, high_s)
        say(alive[who].due_s, "patience", who, who, 0)

    for who in range(len(alive)):
        wait(who, heard_s)
    while True:
        now_s, _, what, to, about, term = heapq.heappop(events)
        node = alive[to]
        if what == "patience" and now_s == node.due_s:
            node.term += 1
            node.voted_in, node.votes = node.term, 1
            wait(to, now_s)
            for other in range(len(alive)):
                if other != to:
                    say(now_s + one_way_s, "ask", other, to, node.term)
        elif what == "ask":
            if term > node.term:
                node.term, node.votes = term, 0
            if term == node.term and node.voted_in < term:
                node.voted_in = term
                wait(to, now_s)
                say(now_s + one_way_s, "vote", about, to, term)
        elif what == "vote" and term == node.term and node.voted_in == term and node.votes:
            node.votes += 1
            if node.votes == quorum:
                return now_s + trip_s  # its first entry to a majority and back


@pytest.mark.parametrize("nodes", [3, 5])
@pytest.mark.parametrize("trip_s", [0.002, 0.02, 0.06, 0.1, 0.15])
def test_the_block_is_what_the_messages_make(nodes: int, trip_s: float) -> None:
    """Means within 3 %, and the same spread."""
    low_s, high_s, beat_s = 0.5, 1.0, 0.1
    generator = random.Random(11)
    plays = np.array([play(generator, nodes, low_s, high_s, beat_s, trip_s) for _ in range(PLAYS)])
    election = RandomisedElection(nodes - 1, nodes // 2 + 1, Uniform(low_s, high_s), beat_s, trip_s).checked()
    _, led_s = election.sample(np.random.default_rng(1), 100_000)
    assert led_s.mean() == pytest.approx(plays.mean(), rel=0.03)
    assert led_s.std() == pytest.approx(plays.std(), rel=0.1)
    assert election.mean_s == pytest.approx(plays.mean(), rel=0.03)


def test_a_tenth_of_a_second_there_and_back() -> None:
    """The case that people meet between regions: about 1.02 s with time-outs of half a second to a second."""
    election = RandomisedElection(2, 2, Uniform(0.5, 1.0), 0.1, 0.1)
    assert election.sample(np.random.default_rng(1), 200_000)[1].mean() == pytest.approx(1.02, rel=0.03)
