"""A running cluster of plain processes: whom to ask, how to harm links, how to send traffic through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec

from chaos import asking
from chaos.clock import Clock, to_ns, to_s
from chaos.kinds import CLIENTS, DNS, Deployment, Link, Names, Net, RoundTrip, TrafficOrder
from chaos.runtimes.local_helpers import Helper
from chaos.runtimes.local_layout import Layout
from chaos.runtimes.local_node import LocalNode
from chaos.runtimes.local_specs import prober_spec
from chaos.target import Ask

ROLES_TIMEOUT_S = 0.3
"""How long a node may take to tell its roles; one that does not answer holds none."""
PROBER_READY_S = 10.0
PROBER_END_S = 10.0
"""After the last slot's deadline the prober has so long to write its last byte."""

StartProber = Callable[[bytes], Helper]
"""JSON of its spec -> the prober at work."""


class LocalTraffic:
    """``kinds.Traffic``: the prober process."""

    def __init__(self, prober: Helper) -> None:
        self._prober = prober

    def stop(self) -> None:
        """Its input ends: it sends no further slot, waits for those under way, and writes its end."""
        self._prober.end_input()


class Asker:
    """Questions of the harness to nodes, many at once."""

    def __init__(self, layout: Layout, roles: Mapping[str, Ask], clock: Clock) -> None:
        self._layout = layout
        self._roles = roles
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="asker")

    def close(self) -> None:
        """No more questions."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def roles(self) -> dict[str, frozenset[str]]:
        """Each node is asked directly; one answer serves all roles that it can tell."""
        nodes = list(self._layout.nodes)
        return dict(zip(nodes, self._pool.map(self._roles_of, nodes), strict=True))

    def ready(self, nodes: Sequence[str], timeout_s: float) -> dict[str, asking.Answer]:
        """The target's own question whether a node may take part, put to all of them at the same time."""
        questions = [self._layout.ask(self._layout.part(node).ready.ask, node) for node in nodes]
        answers = self._pool.map(lambda question: asking.ask(question, timeout_s, self._clock), questions)
        return dict(zip(nodes, answers, strict=True))

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Past every rule of ours, on the port of clients."""
        return self._round_trip(node, None, self._layout.part(node).client_port, timeout_s)

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """Through whatever stands in this link, on the port that its traffic goes to."""
        part = self._layout.part(link.destination)
        port = part.client_port if link.source in {CLIENTS, DNS} else part.peer_port
        return self._round_trip(link.destination, link.source, port, timeout_s)

    def _round_trip(self, node: str, source: str | None, port: str, timeout_s: float) -> RoundTrip:
        question = self._layout.ping_question(node, port)
        if question is None:
            return RoundTrip(None, f"not measurable: the target declares no 'ping' for the port '{port}'")
        answer = asking.ask(self._layout.ask(question, node, source), timeout_s, self._clock)
        return RoundTrip(answer.rtt_s, answer.error if answer.rtt_s is None else None)

    def _roles_of(self, node: str) -> frozenset[str]:
        questions = {role: self._layout.ask(ask, node) for role, ask in self._roles.items()}
        answers: dict[Ask, asking.Answer] = {}
        held = set()
        for role, question in questions.items():
            bare = msgspec.structs.replace(question, json=None)
            if bare not in answers:
                if any(answer.error == asking.TIMED_OUT for answer in answers.values()):
                    break  # it is silent: asking on would only wait as long again
                answers[bare] = asking.ask(bare, ROLES_TIMEOUT_S, self._clock)
            if answers[bare].ok and _holds(question.json, answers[bare].body):
                held.add(role)
        return frozenset(held)


class LocalCluster:
    """``kinds.Cluster`` over local processes."""

    def __init__(
        self,
        deployment: Deployment,
        layout: Layout,
        nodes: Mapping[str, LocalNode],
        net: Net,
        names: Names,
        asker: Asker,
        start_prober: StartProber,
        broken: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        self._deployment = deployment
        self._layout = layout
        self._nodes = nodes
        self._net = net
        self._names = names
        self._asker = asker
        self._start_prober = start_prober
        self._broken = broken
        self._clock = clock

    @property
    def nodes(self) -> Mapping[str, LocalNode]:
        """By name, in the order of the plan."""
        return self._nodes

    @property
    def net(self) -> Net:
        """The links that the plan names."""
        return self._net

    @property
    def names(self) -> Names:
        """The name server."""
        return self._names

    def roles(self) -> dict[str, frozenset[str]]:
        """Asked of every node now, at the same time."""
        return self._asker.roles()

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """Whether the node answers, asked directly."""
        return self._asker.ping(node, timeout_s)

    def broken(self) -> str | None:
        """Which part of the harness has died; None while all is well."""
        return self._broken()

    @contextmanager
    def traffic(self, order: TrafficOrder) -> Iterator[LocalTraffic]:
        """The prober, until its last record is on disk. On an exception it is asked to end early.

        ``broken`` tells if it ended otherwise than by its last row.
        """
        spec = prober_spec(self._deployment, self._layout, order)
        prober = self._start_prober(msgspec.json.encode(spec))
        prober.wait_ready(PROBER_READY_S)
        traffic = LocalTraffic(prober)
        try:
            yield traffic
        except BaseException:
            traffic.stop()
            raise
        finally:
            self._await_end(prober, order)

    def _await_end(self, prober: Helper, order: TrafficOrder) -> None:
        now_ns = self._clock.now_ns()
        end_ns = now_ns if prober.asked_to_end else max(now_ns, order.start_ns + to_ns(order.duration_s))
        deadline_s = self._deployment.plan.experiment.traffic.client.deadline_s
        prober.must_finish(to_s(end_ns - now_ns) + deadline_s + PROBER_END_S)


def _holds(expression: str | None, body: bytes) -> bool:
    if expression is None:
        return True
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return asking.why_not(asking.parse(expression), document) is None
