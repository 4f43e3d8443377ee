"""The role watch: ``python -m chaos.query.watcher SPEC.json``, a process of its own: who leads, who votes, when elections began.

Every node is asked each ``interval_s`` over kept connections, past every rule of ours; one HTTP answer serves all roles and
marks that it can answer. Rows are printed on change only:

    role   a node began or ceased to hold a role. ``at_ns`` is when its answer came; the change lies at most
           ``resolution_s`` before. A node that does not answer holds no role: then ``at_ns`` is when it was asked in vain.
    view   a failure detector of the node began or ceased to suspect another one; first of all what was so at the first answer.
    mark   a moment that the node itself stamped in CLOCK_MONOTONIC ns (exact, whatever the interval).

A node is never asked anew while a question to it is open, and questions that are due meanwhile are left out: what is not
known then stands in ``resolution_s``. The process ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Final

import msgspec

from chaos.core import worker as child
from chaos.core.clock import Clock, MonotonicClock, to_ns, to_s
from chaos.core.errors import BadInput
from chaos.core.worker import Orders, Rows
from chaos.history.events import Marked, RoleChanged, ViewChanged
from chaos.query import question as asking
from chaos.query.aio import fetch
from chaos.query.http import Reply
from chaos.query.kept import Beat, KeptQuestion
from chaos.query.once import Fetched
from chaos.query.question import Question
from chaos.query.watch_spec import WatchedNode, WatchSpec

AT_ONCE: Final = 3
"""So many nodes are asked at the same moment: the fewer wake-ups the cheaper, but a crowd that answers at once would delay clients."""

Changed = RoleChanged | ViewChanged | Marked
"""A row of the watch."""
Line = tuple[str, int, bytes, bytes | None]
"""What tells two questions apart on the wire: host, port, request, and the text that is awaited."""


def _line(question: Question) -> Line:
    return question.host, question.port, question.request, question.expect


class WatchedState:
    """What is known of one node; pure: fed with what came of a poll, it says what changed."""

    def __init__(self, spec: WatchedNode) -> None:
        self.node = spec.node
        self._suspects: dict[tuple[str, str], bool] = {}
        self._holds = dict.fromkeys(spec.roles, False)
        self._stamps: dict[str, int] = {}
        self._last_ns: int | None = None
        self.turn_to(spec)

    def turn_to(self, spec: WatchedNode) -> None:
        """Ask the same elsewhere; what is known of the node stays."""
        self._roles = {role: asking.prepare(ask, True) for role, ask in spec.roles.items()}
        self._marks = spec.marks if spec.marks_ask is not None else {}
        self._marks_question = asking.prepare(spec.marks_ask, True) if spec.marks_ask is not None else None
        self._views = {
            (detector, other): asking.parse(written) for detector, others in spec.views.items() for other, written in others.items()
        }
        self._views_question = asking.prepare(spec.views_ask, True) if spec.views_ask is not None and self._views else None
        self._known: list[Reply | None] | None = None
        asked = [*self._roles.values(), *filter(None, (self._marks_question, self._views_question))]
        self.questions: tuple[Question, ...] = tuple({_line(question): question for question in asked}.values())

    def take(self, fetched: dict[Line, Fetched]) -> list[Changed]:
        """The rows that this poll's answers make."""
        rows: list[Changed] = []
        began_ns = min(each.sent_ns for each in fetched.values())
        replies = [each.reply for each in fetched.values()]
        if replies == self._known and None not in replies:
            self._last_ns = began_ns  # word for word what was answered before: nothing can have changed
            return rows
        self._known = replies
        for role, question in self._roles.items():
            each = fetched[_line(question)]
            holds = _is_yes(question, each)
            if holds != self._holds[role]:
                self._holds[role] = holds
                at_ns = each.sent_ns if each.error is not None else each.done_ns
                since_ns = at_ns - self._last_ns if self._last_ns is not None else 0
                rows.append(RoleChanged(at_ns=at_ns, node=self.node, role=role, holds=holds, resolution_s=to_s(max(0, since_ns))))
        if self._marks_question is not None:
            reply = fetched[_line(self._marks_question)].reply
            if reply is not None:
                rows += self._new_marks(reply)
        if self._views_question is not None:
            rows += self._new_views(fetched[_line(self._views_question)])
        self._last_ns = began_ns
        return rows

    def _new_views(self, fetched: Fetched) -> list[ViewChanged]:
        """Of a node that does not answer nothing new is known: it may go on suspecting whom it suspected."""
        if fetched.reply is None:
            return []
        try:
            document = asking.read_json(fetched.reply.body)
        except asking.NotJson:
            return []
        rows = []
        since_ns = max(0, fetched.done_ns - self._last_ns) if self._last_ns is not None else 0
        for (detector, other), expression in self._views.items():
            suspects = asking.why_not(expression, document) is None
            if suspects != self._suspects.get((detector, other)):
                self._suspects[detector, other] = suspects
                rows.append(
                    ViewChanged(at_ns=fetched.done_ns, node=self.node, other=other, detector=detector, suspects=suspects,
                                resolution_s=to_s(since_ns))
                )  # fmt: skip
        return rows

    def _new_marks(self, reply: Reply) -> list[Marked]:
        try:
            document = asking.read_json(reply.body)
        except asking.NotJson:
            return []  # a node that is ending may answer with an error page; its roles are judged by the same answer
        rows = []
        for mark, path in self._marks.items():
            stamp = _stamp(asking.look_up(document, path))
            if stamp and stamp != self._stamps.get(mark):
                self._stamps[mark] = stamp
                rows.append(Marked(at_ns=stamp, node=self.node, mark=mark))
        return rows


def _is_yes(question: Question, fetched: Fetched) -> bool:
    if fetched.reply is None:
        return fetched.error is None  # a TCP question
    return asking.refusal(question, fetched.reply) is None


def _stamp(value: object) -> int:
    """Whole nanoseconds; some systems write large numbers as text. 0 for never."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value if 0 <= value < 1 << 63 else 0
    return int(value) if isinstance(value, str) and _STAMP.fullmatch(value) else 0


_STAMP = re.compile(r"[0-9]{1,19}")


class _Kept:
    """The questions of one node over kept connections, and its rows once each has an answer, or none."""

    def __init__(self, state: WatchedState, rows: Rows, clock: Clock) -> None:
        self._state = state
        self._rows = rows
        self._came: dict[int, Fetched] = {}
        http = all(question.request and question.expect is None for question in state.questions)
        asked = state.questions if http else ()
        self.questions = [KeptQuestion(question, partial(self._take, number), clock) for number, question in enumerate(asked)]
        """Empty where not all are of HTTP."""

    def turn(self) -> None:
        """Its state has other questions now."""
        self._came.clear()
        for kept, question in zip(self.questions, self._state.questions, strict=bool(self.questions)):
            kept.turn_to(question)

    def _take(self, number: int, fetched: Fetched) -> None:
        self._came[number] = fetched
        if len(self._came) == len(self.questions):
            asked = self._state.questions
            for row in self._state.take({_line(asked[each]): came for each, came in self._came.items()}):
                self._rows.put(row)
            self._came.clear()


async def _watch_node(state: WatchedState, spec: WatchSpec, phase_s: float, rows: Rows, clock: Clock) -> None:
    """One that is asked by other protocols too."""
    interval_ns = to_ns(spec.interval_s)
    due_ns = clock.now_ns() + to_ns(phase_s)
    while True:
        await asyncio.sleep(max(0.0, to_s(due_ns - clock.now_ns())))
        asked = state.questions
        fetched = await asyncio.gather(*(fetch(question, spec.timeout_s, clock) for question in asked))
        if asked is state.questions:
            for row in state.take({_line(question): each for question, each in zip(asked, fetched, strict=True)}):
                rows.put(row)
        missed = max(0, (clock.now_ns() - due_ns) // interval_ns)
        due_ns += (missed + 1) * interval_ns


async def watch(spec: WatchSpec, rows: Rows, stop: asyncio.Event, clock: Clock | None = None, orders: Orders | None = None) -> None:
    """Watch until ``stop`` is set; the grids of groups of nodes are spread evenly over the interval. An order is a ``WatchedNode`` that is
    asked elsewhere from now on."""
    clock = clock or MonotonicClock()
    states = [state for state in map(WatchedState, spec.nodes) if state.questions]
    asked = {state.node: _Kept(state, rows, clock) for state in states}
    kept = [each.questions for each in asked.values() if each.questions]
    others = [state for state in states if not asked[state.node].questions]

    def turn(line: bytes) -> None:
        moved = msgspec.json.decode(line, type=WatchedNode)
        for state in states:
            if state.node == moved.node:
                state.turn_to(moved)
                asked[state.node].turn()

    if orders is not None:
        orders.taken_by(turn)
    groups = [list(chain.from_iterable(kept[at : at + AT_ONCE])) for at in range(0, len(kept), AT_ONCE)]
    beats = [Beat(group, spec.interval_s, spec.timeout_s, clock) for group in groups]
    rows.ready()
    try:
        for beat, phase in zip(beats, _phases(len(beats)), strict=True):
            beat.begin(phase * spec.interval_s)
        async with child.tasks_until(stop) as group:
            for state, phase in zip(others, _phases(len(others)), strict=True):
                group.create_task(_watch_node(state, spec, phase * spec.interval_s, rows, clock))
    finally:
        for beat in beats:
            beat.close()


def _phases(count: int) -> Iterable[float]:
    return (index / count for index in range(count))


def read_spec(data: bytes) -> WatchSpec:
    """The spec from its JSON; ``BadInput`` where it makes no sense."""
    spec = msgspec.json.decode(data, type=WatchSpec)
    if spec.interval_s <= 0 or spec.timeout_s <= 0:
        raise BadInput("watch: interval_s and timeout_s must be above 0")
    return spec


def main(arguments: list[str]) -> int:
    """The process; see ``child.run`` for its exit status."""
    orders = Orders()
    return child.run("chaos.query.watcher", arguments, read_spec, partial(watch, orders=orders), orders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
