"""Questions of the harness to nodes: their roles, whether they are ready, whether they answer at all; many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from chaos.core.clock import Clock
from chaos.core.values import ClockReading, Link, RoundTrip
from chaos.experiment.target.spec import Ask, about
from chaos.query import question as asking
from chaos.query.aio import ask
from chaos.query.clock import read_clock
from chaos.query.door import Door
from chaos.runtimes.base.layout import Layout

ROLES_TIMEOUT_S = 0.3
"""How long a node may take to tell its roles; one that does not answer holds none."""


class Asker:
    """Asks from where the harness stands, past every rule of ours."""

    def __init__(self, layout: Layout, roles: Mapping[str, Ask], clock: Clock) -> None:
        self._layout = layout
        self._roles = roles
        self._door = Door(clock)

    def close(self) -> None:
        """No more questions."""
        self._door.close()

    def roles(self) -> dict[str, frozenset[str]]:
        """Each node is asked directly; one answer serves all roles that it can tell."""

        async def all_of_them() -> list[frozenset[str]]:
            return await asyncio.gather(*map(self._roles_of, self._layout.nodes))

        return dict(zip(self._layout.nodes, self._door.run(all_of_them()), strict=True))

    def ready(self, nodes: Sequence[str], timeout_s: float) -> dict[str, asking.Answer]:
        """The target's own question whether a node may take part, put to all of them at the same time."""
        questions = [self._layout.ask(self._layout.part(node).ready.ask, node) for node in nodes]
        return dict(zip(nodes, self._door.ask_all(questions, timeout_s), strict=True))

    def ping(self, node: str, timeout_s: float) -> RoundTrip:
        """On the port of clients."""
        return self._round_trip(node, None, self._layout.part(node).client_port, timeout_s)

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """To the address that the source of this link uses, on the port that its traffic goes to."""
        return self._round_trip(link.destination, link.source, link.port or self._layout.port_of(link), timeout_s)

    def clock(self, question: Ask, node: str, timeout_s: float) -> ClockReading:
        """What the node answers to this question for its time."""
        return self._door.run(read_clock(self._layout.ask(question, node), timeout_s, self._door.clock))

    def change_members(self, question: Ask, node: str, timeout_s: float) -> str | None:
        """Each other node of its part in turn, and at last itself (it may lead), until one says yes; else what each answered."""
        why = []
        for other in [*self._others(node), node]:
            answer = self._door.ask(self._about(question, node, other), timeout_s)
            if answer.ok:
                return None
            why.append(f"{other}: {answer.error}")
        return ", ".join(why)

    def lists(self, question: Ask, node: str, timeout_s: float) -> dict[str, bool | None]:
        """What each other node says of it; None: no answer."""
        others = self._others(node)
        bare = msgspec.structs.replace(question, json=None)
        answers = self._door.ask_all([self._about(bare, node, other) for other in others], timeout_s)
        expression = self._about(question, node, node).json
        return {other: _holds(expression, answer.body) if answer.ok else None for other, answer in zip(others, answers, strict=True)}

    def _others(self, node: str) -> list[str]:
        return [other for other in self._layout.members(self._layout.nodes[node].part) if other != node]

    def _about(self, question: Ask, node: str, asked: str) -> Ask:
        info = self._layout.nodes[node]
        return self._layout.ask(about(question, node, info.peer_address or info.address), asked)

    def _round_trip(self, node: str, source: str | None, port: str, timeout_s: float) -> RoundTrip:
        question = self._layout.ping_question(node, port)
        if question is None:
            return not_measurable(port)
        return round_trip(self._door.ask(self._layout.ask(question, node, source), timeout_s))

    async def _roles_of(self, node: str) -> frozenset[str]:
        asked = self._layout.roles_of(node)
        questions = {role: self._layout.ask(wanted, node) for role, wanted in self._roles.items() if role in asked}
        answers: dict[Ask, asking.Answer] = {}
        held = set()
        for role, question in questions.items():
            bare = msgspec.structs.replace(question, json=None)
            if bare not in answers:
                if any(answer.error == asking.TIMED_OUT for answer in answers.values()):
                    break  # it is silent: asking on would only wait as long again
                answers[bare] = await ask(bare, ROLES_TIMEOUT_S, self._door.clock)
            if answers[bare].ok and _holds(question.json, answers[bare].body):
                held.add(role)
        return frozenset(held)


def round_trip(answer: asking.Answer) -> RoundTrip:
    """What an answer says about the way."""
    return RoundTrip(answer.rtt_s, answer.error if answer.rtt_s is None else None)


def not_measurable(port: str) -> RoundTrip:
    """There is no question for this port."""
    return RoundTrip(None, f"not measurable: the target declares no 'ping' for the port '{port}'")


def _holds(expression: str | None, body: bytes) -> bool:
    if expression is None:
        return True
    try:
        document = asking.read_json(body)
    except asking.NotJson:
        return False
    return asking.why_not(asking.parse(expression), document) is None
