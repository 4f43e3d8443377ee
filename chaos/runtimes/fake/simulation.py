"""The virtual cluster: replicas, a leader, links and a name server's checks, as events on a clock that somebody else moves.

Nothing happens by itself: whoever asks or commands first lets the simulation catch up with the clock. Events are drawn from named
streams of the plan's seed, so the same commands at the same times give the same history, byte for byte.

Modelled: process death and start, restart and resync times, heartbeats, randomised elections with split votes, quorum over
directed peer links, forwarding to the leader, latency of links. Not modelled: lost bytes, queueing, what one slow node costs others.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.rng import stream
from chaos.core.values import CLIENTS, FOLLOWER, LEADER, VOTING, Cut, Link, NodeInfo, Rule, Status, Toxic
from chaos.history.events import Marked, NodeChanged, RoleChanged
from chaos.plugin import Sink
from chaos.runtimes.fake.faces import Face, Faces, Meets
from chaos.runtimes.fake.following import Following
from chaos.runtimes.fake.parameters import FakeParameters

BASE_NS = 300_000
"""A question and its answer on an idle loopback."""
READ = "read"
WRITE = "write"


class VirtualNode:
    """The state of one replica."""

    def __init__(self, info: NodeInfo, log: Path) -> None:
        self.info = info
        self.log = log
        self.status = Status.DOWN
        self.life = 0
        """How often it has been started; events of an earlier life mean nothing."""
        self.ready = False
        self.voting = False
        self.claims = False
        """It says of itself that it leads."""
        self.follows: str | None = None
        """Whom it takes for its leader, if it is not one."""
        self.silence = 0
        """Not 0: it follows one that it no longer hears; the number tells one time from another."""
        self.hearing = 0
        """Not 0: a leader reaches it that it does not follow yet."""
        self.doubts = 0
        """Not 0: it leads and has no quorum; the number tells one time from another."""
        self.shown: dict[str, bool] = {}
        """The roles that the watch has last seen."""
        self.faces = {READ: Faces(), WRITE: Faces()}

    @property
    def answers(self) -> bool:
        """Asked directly, it answers."""
        return self.status is Status.UP and self.ready


class Simulation:
    """All state, and the only place that changes it. Not thread-safe: its owner locks."""

    def __init__(
        self,
        parameters: FakeParameters,
        nodes: Mapping[str, VirtualNode],
        proxied: frozenset[Link],
        roles: frozenset[str],
        marks: frozenset[str],
        seed: int,
        sink: Sink,
        clock: Clock,
        networks: tuple[str, ...] = (),
    ) -> None:
        self.networks = networks
        self.parameters = parameters
        self.nodes = nodes
        self.proxied = proxied
        self._roles = roles
        self._marks = marks
        self._rng = stream(seed, "fake", "cluster")
        self._sink = sink
        self._clock = clock
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._layers: dict[int, tuple[Rule, ...]] = {}
        self.leader: str | None = None
        """Who was elected last, until it is lost."""
        self._loud = False
        """The leader that was lost died, or its door is closed: its connections say so."""
        self._following = Following(self)
        self._election = 0
        self._electing = False
        self._doubts = 0
        self.now_ns = clock.now_ns()
        self.on_change: list[Callable[[], None]] = []
        """Called after every change of the cluster, at its time."""

    # --- time ----------------------------------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Let everything happen that is due by the clock."""
        until_ns = self._clock.now_ns()
        while self._events and self._events[0][0] <= until_ns:
            at_ns, _, do = heapq.heappop(self._events)
            self.now_ns = max(self.now_ns, at_ns)
            do()
        self.now_ns = max(self.now_ns, until_ns)

    def at(self, at_ns: int, do: Callable[[], None]) -> None:
        """Do it then."""
        heapq.heappush(self._events, (at_ns, next(self._order), do))

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self.at(self.now_ns + to_ns(seconds), do)

    # --- commands ------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> int:
        """The process begins; it is ready after its restart time."""
        node = self.nodes[name]
        node.status, node.ready, node.voting, node.claims = Status.UP, False, False, False
        node.life += 1
        life = node.life
        self._say(node, "started")
        self._sink(NodeChanged(at_ns=self.now_ns, node=name, status=Status.UP))
        self.after(self.parameters.restart.draw_s(self._rng), lambda: self._get_ready(node, life))
        self.changed()
        return self.now_ns

    def kill(self, name: str, detail: str) -> int:
        """The process dies."""
        node = self.nodes[name]
        node.status, node.ready, node.voting, node.claims = Status.DOWN, False, False, False
        node.life += 1
        if self.leader == name:
            self.leader, self._loud = None, True
        self._sink(NodeChanged(at_ns=self.now_ns, node=name, status=Status.DOWN, detail=detail))
        self.changed()
        return self.now_ns

    def pause(self, name: str) -> int:
        """The process is frozen."""
        self.nodes[name].status = Status.PAUSED
        self._sink(NodeChanged(at_ns=self.now_ns, node=name, status=Status.PAUSED))
        self.changed()
        return self.now_ns

    def resume(self, name: str) -> int:
        """It goes on where it was; events that fell due meanwhile happen now."""
        node = self.nodes[name]
        node.status = Status.UP
        self._sink(NodeChanged(at_ns=self.now_ns, node=name, status=Status.UP))
        self.changed()
        return self.now_ns

    def put_layer(self, number: int, rules: tuple[Rule, ...]) -> None:
        """These rules are in force."""
        self._layers[number] = rules
        self.changed()

    def take_layer(self, number: int) -> None:
        """They are not any more."""
        del self._layers[number]
        self.changed()

    # --- links ---------------------------------------------------------------------------------------------------------

    def cut(self, link: Link, network: str = "") -> str | None:
        """``drop``, ``reset`` or ``reject`` if nothing passes; reject wins, as a closed door is met before a silent one.

        On this network, else on the one that the link's traffic uses: the clients' is the first, that among nodes the last.
        """
        found = None
        if self.networks and not network:
            network = self.networks[-1 if {link.source, link.destination} <= self.nodes.keys() else 0]
        for rules in self._layers.values():
            for rule in rules:
                if rule.link != link or (isinstance(rule, Cut) and rule.network not in ("", network)):
                    continue
                if isinstance(rule, Cut) and rule.behavior == "reject":
                    return "reject"
                if isinstance(rule, Cut) or (isinstance(rule, Toxic) and rule.type == "timeout"):
                    found = "drop"
                elif isinstance(rule, Toxic) and rule.type == "reset_peer":
                    found = found or "reset"
        return found

    def delay_ns(self, link: Link) -> int:
        """What a round trip over the link gains; jitter is symmetric, and its mean, nothing, is what counts here."""
        rules = itertools.chain.from_iterable(self._layers.values())
        toxics = (rule for rule in rules if isinstance(rule, Toxic) and rule.link == link and rule.type == "latency")
        return round(sum(toxic.attributes.get("latency", 0.0) * (2 if toxic.stream == "both" else 1) for toxic in toxics) * 1e6)

    def way(self, link: Link) -> Face:
        """What a question meets on its way from the link's source to the node itself, and the node's own door."""
        node = self.nodes[link.destination]
        cut = self.cut(link)
        if cut == "reject":
            return Face(Meets.REFUSED)
        if cut == "drop":
            return Face(Meets.LOST)
        if cut == "reset":
            return Face(Meets.CLOSED)
        if node.status is Status.DOWN or not node.ready:
            return Face(Meets.CLOSED if link in self.proxied else Meets.REFUSED)
        if node.status is Status.PAUSED:
            return Face(Meets.WAITS)
        return Face(Meets.ANSWER, BASE_NS + self.delay_ns(link))

    def reaches(self, source: str, destination: str) -> bool:
        """Peers: an order from one gets an answer from the other."""
        if source == destination:
            return self.nodes[source].answers
        return self.nodes[destination].answers and self.cut(Link(source, destination)) is None

    # --- what becomes of operations ------------------------------------------------------------------------------------

    def face(self, name: str, does: str) -> Face:
        """What a client meets that sends this kind of operation to that node now."""
        way = self.way(Link(CLIENTS, name))
        if way.meets is not Meets.ANSWER or (does == READ and self.parameters.local_reads):
            return way
        return self.behind(name, way)

    def behind(self, name: str, way: Face) -> Face:
        """What is met by a question that came to a node this way and needs a leader with a quorum, if the system has one."""
        if not self.parameters.has_leader:
            return way
        node = self.nodes[name]
        if not node.claims:
            return self._following.handed_on(node, way.latency_ns)
        commit_ns = self.commit_ns(name)
        return Face(Meets.DROPPED) if commit_ns is None else Face(Meets.ANSWER, way.latency_ns + commit_ns)

    def commit_ns(self, leader: str) -> int | None:
        """How long the leader takes to have a quorum on disk; None: it has none."""
        others = [name for name in self.nodes if name != leader and self.nodes[name].voting and self.reaches(leader, name)]
        trips_ns = sorted(to_ns(self.parameters.round_trip_s) + self.delay_ns(Link(leader, name)) for name in others)
        needed = self.parameters.quorum - 1
        if needed > len(trips_ns):
            return None
        return trips_ns[needed - 1] if needed else 0

    def elects(self, name: str) -> bool:
        """Does it take part in an election that is to come?"""
        return self._electing and name in self._candidates()

    def beat_s(self) -> float:
        """Until a leader's next beat, from a random moment."""
        return self._rng.random() * self.parameters.heartbeat_s

    def patience_left_s(self) -> float:
        """How long a node goes on believing in a leader that it no longer hears, from a random moment between two beats."""
        return self.parameters.patience_left_s(self._rng)

    def holds(self, name: str) -> frozenset[str]:
        """The roles that the node tells when it is asked now."""
        node = self.nodes[name]
        if not node.answers:
            return frozenset()
        held = {LEADER} if node.claims else {FOLLOWER}
        # Without a leader nobody can tell whether its log is current.
        votes = node.voting and (node.claims or node.follows is not None or not self.parameters.has_leader)
        return frozenset(held | ({VOTING} if votes else set())) & self._roles

    # --- events --------------------------------------------------------------------------------------------------------

    def _get_ready(self, node: VirtualNode, life: int) -> None:
        if node.life != life:
            return
        node.ready = True
        self._say(node, "ready")
        # One that is alone has nobody to catch up with.
        resync_s = 0.0 if self.parameters.alone else self.parameters.resync.draw_s(self._rng)
        self.after(resync_s, lambda: self._vote(node, life))
        self.changed()

    def _vote(self, node: VirtualNode, life: int) -> None:
        if node.life == life:
            node.voting = True
            self.changed()

    def changed(self) -> None:
        """The cluster is another one: look to the leader, show roles, note what clients meet."""
        if self.parameters.has_leader:
            self._look_to_leader()
            self._doubt()
            self._following.listen()
        self._show()
        for name, node in self.nodes.items():
            for does, faces in node.faces.items():
                faces.put(self.now_ns, self.face(name, does))
        for tell in self.on_change:
            tell()

    def _look_to_leader(self) -> None:
        if self.leader is not None and self._commits(self.leader):
            self._electing = False
            return
        candidates = self._candidates()
        if not candidates:
            self._electing = False
            return
        if self._electing:
            return
        self._electing = True
        self._election += 1
        number = self._election
        heard = self.leader is not None or any(node.shown.get(LEADER) for node in self.nodes.values())
        loud = self._loud or (self.leader is not None and all(self.cut(Link(name, self.leader)) == "reject" for name in candidates))
        stands_s, leads_s = self.parameters.silence_to_leader_s(self._rng, len(candidates), heard_before=heard, loud=loud)
        begun_ns = self.now_ns + to_ns(stands_s)
        self.at(begun_ns, lambda: self._stand(number))
        self.after(leads_s, lambda: self._elect(number, begun_ns, frozenset(candidates)))

    def _commits(self, leader: str) -> bool:
        return self.nodes[leader].answers and self.commit_ns(leader) is not None

    def _candidates(self) -> list[str]:
        """Voters that hear no leader and can reach a quorum of such voters."""
        voters = [name for name, node in self.nodes.items() if node.voting and node.answers and name != self.leader]
        return [name for name in voters if sum(self.reaches(name, other) for other in voters) >= self.parameters.quorum]

    def _stand(self, number: int) -> None:
        """The first of them stands, and asks the others."""
        if number == self._election and self._electing:
            self._following.give_up(self._candidates())
            self.changed()

    def _elect(self, number: int, begun_ns: int, stood: frozenset[str]) -> None:
        if number != self._election or not self._electing:
            return
        self._electing = False
        candidates = self._candidates()
        if not candidates:
            return
        # Those whose patience began with the silence stand before one that has come back meanwhile.
        first = [name for name in candidates if name in stood] or candidates
        winner = first[int(self._rng.random() * len(first))]
        self.leader, self._loud = winner, False
        self.nodes[winner].claims = True
        self._following.elected(winner)
        self._say(self.nodes[winner], "leads")
        for mark, at_ns in (("election_started", begun_ns), ("leader_elected", self.now_ns)):
            if mark in self._marks:
                self._sink(Marked(at_ns=at_ns, node=winner, mark=mark))
        self.changed()

    def _show(self) -> None:
        """Role changes, as the watch would see them; an old leader that hears of the new one steps down within a heartbeat."""
        for name, node in self.nodes.items():
            if node.claims and name != self.leader and node.answers and self.leader is not None and self.reaches(self.leader, name):
                notice_s = self._rng.random() * self.parameters.heartbeat_s
                self.after(notice_s, functools.partial(self._step_down, node, node.life))
            held = self.holds(name)
            for role in sorted(self._roles):
                if (role in held) != node.shown.get(role, False):
                    node.shown[role] = role in held
                    self._sink(RoleChanged(at_ns=self.now_ns, node=name, role=role, holds=role in held))

    def _doubt(self) -> None:
        """A leader that runs but has lost its quorum gives up after the shortest election time-out, unless it has one again by then."""
        for name, node in self.nodes.items():
            if not (node.claims and node.answers) or self._commits(name):
                node.doubts = 0
            elif not node.doubts:
                self._doubts += 1
                node.doubts = self._doubts
                self.after(self.parameters.patience_s(self._rng), functools.partial(self._give_up, node, node.doubts))

    def _give_up(self, node: VirtualNode, doubts: int) -> None:
        if node.doubts != doubts:
            return
        node.doubts = 0
        node.claims = False
        if self.leader == node.info.name:
            self.leader = None
        self.changed()

    def _step_down(self, node: VirtualNode, life: int) -> None:
        if node.life == life and node.claims and node.info.name != self.leader:
            node.claims = False
            self._following.follow(node)
            self.changed()

    def _say(self, node: VirtualNode, text: str) -> None:
        # A real node's log is its own affair, too: what writes it is not what measures.
        with contextlib.suppress(OSError), node.log.open("a", encoding="utf-8") as log:
            log.write(f"{to_s(self.now_ns):.6f} {node.info.name} {text}\n")


def infos(
    names: Mapping[str, tuple[str, str | None]], ports: Mapping[str, Mapping[str, int]], networks: Sequence[str] = ()
) -> dict[str, NodeInfo]:
    """Nodes by name on addresses of 198.18.0.0/15, which is set aside for tests (RFC 2544); nothing is bound to them."""
    return {
        name: NodeInfo(
            name,
            part,
            zone,
            f"198.18.0.{number}",
            dict(ports[part]),
            {network: f"198.18.{place}.{number}" for place, network in enumerate(networks)},
        )
        for number, (name, (part, zone)) in enumerate(names.items(), start=1)
    }


def check_rules(rules: tuple[Rule, ...]) -> str | None:
    """Why these rules cannot be done in virtual time; None if they can."""
    known = {"latency", "timeout", "reset_peer"}
    unknown = [rule.type for rule in rules if isinstance(rule, Toxic) and rule.type not in known]
    if unknown:
        return f"toxics {', '.join(unknown)} are not modelled in virtual time"
    return None if all(isinstance(rule, Toxic | Cut) for rule in rules) else "packets are not modelled in virtual time"
