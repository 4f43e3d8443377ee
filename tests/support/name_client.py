"""A client and its resolver, event by event, against a name server that does wrong: an oracle for the models, and for live runs.

Written from docs/measuring.md ("The client") and from nothing else: it imports neither the models nor the prober. One fault lasts
from 0 to ``lasts_s``. Every node is well; only the name server is not.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

RIGHT, WRONG, NOTHING = "right", "wrong", "nothing"
SERVED_S = 0.001
ASKED_S = 0.0002
KEPT_SHORT_S = 0.010


@dataclass(frozen=True)
class Policy:
    """As in an experiment. ``rates_per_s``: of all operations; the first one is judged."""

    mode: str = "down"
    lasts_s: float = 2.0
    ttl_s: float = 1.0
    resolve: str = "ttl"
    attempts: int = 2
    timeout_s: float = 0.25
    deadline_s: float = 0.6
    other: bool = True
    """``other_address``: of no account here, since all addresses of an answer are alike."""
    delay_s: float = 0.0
    rates_per_s: tuple[float, ...] = (50.0, 50.0)


@dataclass
class Request:
    """One slot."""

    due_s: float
    judged: bool
    begun: int = 0
    ends_s: float = 0.0
    over: bool = False
    good: bool = False


@dataclass
class Question:
    """One that is on its way; ``waiting`` holds (request, its attempt, until when)."""

    waiting: list[tuple[Request, int, float]] = field(default_factory=list)
    over: bool = False


class Client:
    """All requests of one fault."""

    def __init__(self, policy: Policy, start_s: float, first: int = 0) -> None:
        self.policy = policy
        self.now_s = start_s
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.kept: tuple[str, float, float] | None = None  # what, renewed from, until
        self.shared: Question | None = None
        self.requests: list[Request] = []
        end_s = policy.lasts_s + 3 * policy.ttl_s + policy.delay_s + 2.0
        for place, rate_per_s in enumerate(policy.rates_per_s):
            due_s = start_s + (place / len(policy.rates_per_s) + (place < first)) / rate_per_s
            while due_s < end_s:
                request = Request(due_s, place == 0)
                self.requests.append(request)
                self.at(due_s, lambda request=request: self.attempt(request))  # type: ignore[misc]
                due_s += 1.0 / rate_per_s

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (when_s, next(self.order), what))

    def play(self) -> float:
        """Seconds of the judged operation's slots that were bad."""
        while self.agenda:
            self.now_s, _, what = heapq.heappop(self.agenda)
            what()
        return sum(not request.good for request in self.requests if request.judged) / self.policy.rates_per_s[0]

    # --- requests

    def attempt(self, request: Request) -> None:
        request.begun += 1
        number = request.begun
        request.ends_s = min(self.now_s + self.policy.timeout_s, request.due_s + self.policy.deadline_s)
        self.at(request.ends_s, lambda: self.failed(request, number))
        kept = self.kept
        if kept is not None and self.now_s < kept[2]:
            if self.now_s >= kept[1] and self.shared is None:
                self.ask(Question())
            self.go(request, number, kept[0])
            return
        self.kept = None
        question = self.shared if self.policy.resolve != "per-request" else None
        if question is None:
            question = Question()
            question.waiting.append((request, number, request.ends_s))
            self.ask(question)
        else:
            question.waiting.append((request, number, request.ends_s))

    def go(self, request: Request, number: int, to: str) -> None:
        if request.over or request.begun != number:
            return
        if to == NOTHING:
            self.failed(request, number)
        elif to == RIGHT and self.now_s + SERVED_S <= request.ends_s:
            request.over = request.good = True

    def failed(self, request: Request, number: int) -> None:
        if request.over or request.begun != number:
            return
        if request.begun < self.policy.attempts and self.now_s < request.due_s + self.policy.deadline_s - 1e-9:
            self.attempt(request)
        else:
            request.over = True

    # --- questions

    def ask(self, question: Question) -> None:
        if self.policy.resolve != "per-request":
            self.shared = question
        answer = self.server()
        if answer is not None:
            after_s, what, keep_s = answer
            self.at(self.now_s + after_s, lambda: self.told(question, what, keep_s))
        self.at(self.now_s + self.policy.timeout_s, lambda: self.again(question))

    def again(self, question: Question) -> None:
        if question.over:
            return
        # Whoever gives up at this very moment waits no longer, but may ask anew.
        waiting = [(request, number) for request, number, until_s in question.waiting if until_s > self.now_s + 1e-9]
        if any(not request.over and request.begun == number for request, number in waiting):
            self.ask(question)
        else:
            question.over = True
            if self.shared is question:
                self.shared = None

    def told(self, question: Question, what: str, keep_s: float) -> None:
        if question.over:
            return
        question.over = True
        if self.shared is question:
            self.shared = None
        if self.policy.resolve == "once":
            keep_s = math.inf if what == RIGHT else 0.0
        if self.policy.resolve != "per-request" and keep_s > 0:
            self.kept = (what, self.now_s + keep_s - min(KEPT_SHORT_S, keep_s / 50), self.now_s + keep_s)
        for request, number, _ in question.waiting:
            self.go(request, number, what)

    def server(self) -> tuple[float, str, float] | None:
        """(how late, what, how long it may be kept) of a question that is put now."""
        ttl_s = self.policy.ttl_s
        if not 0 <= self.now_s < self.policy.lasts_s:
            return ASKED_S, RIGHT, ttl_s
        return {
            "down": None,
            "refused": (ASKED_S, NOTHING, 0.0),
            "servfail": (ASKED_S, NOTHING, 0.0),
            "nxdomain": (ASKED_S, NOTHING, ttl_s),
            "wrong": (ASKED_S, WRONG, ttl_s),
            "slow": (self.policy.delay_s, RIGHT, ttl_s),
        }[self.policy.mode]


def lost_s(policy: Policy, faults: int = 60, seed: int = 1) -> list[float]:
    """Seconds lost in each of so many faults, whose moments are spread evenly over the life of a cached answer."""
    draw = random.Random(seed)  # noqa: S311 - a simulation
    spread_s = max(policy.ttl_s, *(1.0 / rate for rate in policy.rates_per_s))
    operations = len(policy.rates_per_s)
    found = []
    for number in range(faults):
        phase_s = (number + draw.random()) / faults * spread_s
        # Any of the operations may be the one that asks, and goes on asking if the TTL is a multiple of its slots.
        found.append(Client(policy, -phase_s - 2 * spread_s - 0.5, number % operations).play())
    return found


def mean_lost_s(policy: Policy, faults: int = 60, seed: int = 1) -> float:
    """The mean of them."""
    lost = lost_s(policy, faults, seed)
    return sum(lost) / len(lost)
