"""``traffic: client:``: how clients ask. Time-outs and attempts, waits between them, connections, and whom they ask.

::

    client: {timeout: 250ms, attempts: 3, backoff: {first: 50ms, factor: 2, most: 1s, jitter: full}, retry_budget: 20%}
    client: {timeout: none, pool: {size: 10, lifetime: 30s}}           few connections, each held for as long as it seems to live
    client: {keep_alive: false, resolve: once, resolve_on_error: true}
    client: {endpoints: {nodes: [n1, n2, n3], order: listed}, redirects: 2}
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from chaos.core.errors import BadInput
from chaos.core.units import DURATION, PERCENT, Ratio, Seconds
from chaos.experiment.forms import COUNT, WORDS, Form, listed, one_of, quantity
from chaos.experiment.schedules import SPAN
from chaos.experiment.schema import any_of
from chaos.experiment.source import Scalar, Value
from chaos.experiment.tables import Strict, Written, table

NO_TIMEOUT_S: Final = 1e9
"""``timeout: none``: an attempt goes on for as long as its connection seems to live, whatever becomes of the request."""
NONE: Final = "none"
ALL: Final = "all"
_TIMEOUT: Final = quantity(DURATION, ge=0)


def _patience(value: Value) -> float:
    return NO_TIMEOUT_S if isinstance(value, Scalar) and value.text == NONE else _TIMEOUT.read(value)


_TIMEOUT_OR_NONE: Final[Form[float]] = Form(_patience, lambda shapes: any_of({"const": NONE}, _TIMEOUT.describe(shapes)), DURATION)


class Backoff(Strict, frozen=True):
    """The wait before attempt k + 1: ``first`` x ``factor``^(k - 1), at most ``most``; with ``jitter`` a random part of it."""

    first_s: Annotated[Seconds, SPAN] = 0.05
    factor: Annotated[float, msgspec.Meta(ge=1)] = 2.0
    most_s: Annotated[Seconds, SPAN] = 1.0
    jitter: Literal["full", "equal", "none"] = "full"
    """``full``: from 0 to all of it; ``equal``: from half to all of it; ``none``: all of it"""

    def wait_s(self, failed: int, drawn: float) -> float:
        """After so many failed attempts; ``drawn`` is from [0, 1)."""
        whole_s = min(self.first_s * self.factor ** min(failed - 1, 1000), self.most_s)
        if self.jitter == "none":
            return whole_s
        return whole_s * drawn if self.jitter == "full" else whole_s * (0.5 + drawn / 2)

    def most_waits_s(self, retries: int) -> float:
        """The longest that so many waits may take together."""
        return sum(min(self.first_s * self.factor ** min(k, 1000), self.most_s) for k in range(retries))


class RetryBudget(Strict, frozen=True):
    """Each request puts ``ratio`` of a retry into a bucket of at most ``burst``; each retry takes one out, or is not made."""

    ratio: Ratio = 0.2
    burst: Annotated[float, msgspec.Meta(ge=1)] = 10.0


class ConnectionPool(Strict, frozen=True):
    """A client's few connections, opened to an address of the name when they are needed, and then used in turn whatever the name says."""

    size: Annotated[int, COUNT] = 10
    """At most so many, of each operation; a request that finds none free waits for one"""
    lifetime_s: Annotated[Seconds | None, SPAN] = None
    """One that is older is closed instead of used again, so that the next one asks the name"""
    tcp_user_timeout_s: Annotated[Seconds | None, SPAN] = None
    """The kernel gives a connection up on which so long nothing was acknowledged; without it, after some 15 min"""


class Endpoints(Strict, frozen=True):
    """Addresses that clients know by themselves: those of these nodes, or of all. They do not ask the name."""

    nodes: tuple[str, ...] = ()
    """None named: all of the part that clients ask"""
    order: Literal["random", "listed", "sticky"] = "random"
    """``random``: drawn for each request; ``listed``: the first one, others only after a failure; ``sticky``: the one that last answered"""


def _all_nodes(word: str, value: Value) -> Endpoints:
    if word != ALL:
        raise BadInput(f"'{word}' is not a list of nodes", place=value.place, right="endpoints: all, or [n1, n2]")
    return Endpoints()


_NODES: Final = listed(WORDS, example="[n1, n2]", least=1, distinct=True)
_ENDPOINTS: Final[Form[Endpoints]] = one_of(
    Form(WORDS.then(_all_nodes).read, {"const": ALL}), listing=_NODES.then(lambda nodes, _: Endpoints(nodes)), table=table(Endpoints)
)
_BACKOFF: Final[Form[Backoff]] = one_of(SPAN.then(lambda first_s, _: Backoff(first_s, most_s=max(first_s, 1.0))), table=table(Backoff))
_BUDGET: Final[Form[RetryBudget]] = one_of(
    quantity(PERCENT, ge=0, le=1).then(lambda ratio, _: RetryBudget(ratio)), table=table(RetryBudget)
)


@Written(blank=True)
class ClientPolicy(Strict, frozen=True):
    """How clients ask: ``timeout_s`` an attempt, ``deadline_s`` the slot from its due time, ``resolve`` per-request, ttl or once."""

    timeout_s: Annotated[float, _TIMEOUT_OR_NONE] = 0.25
    """Of one attempt; ``none``: a request that is not answered by the deadline fails, and its connection stays in use"""
    attempts: int = 2
    other_address: bool = True
    deadline_s: Seconds = 0.6
    resolve: Literal["per-request", "ttl", "once"] = "ttl"
    resolve_on_error: bool = False
    """A connection that fails makes the client forget what the name stood for, so that the next attempt asks again"""
    backoff: Annotated[Backoff | None, _BACKOFF] = None
    """The wait before a further attempt; without it there is none"""
    retry_budget: Annotated[RetryBudget | None, _BUDGET] = None
    """How many further attempts there may be for a number of requests"""
    keep_alive: bool = True
    """``false``: a connection for each attempt"""
    pool: Annotated[ConnectionPool | None, table(ConnectionPool)] = None
    """A fixed number of connections; without it, as many as are needed, to the address that each attempt draws"""
    endpoints: Annotated[Endpoints | None, _ENDPOINTS] = None
    """Addresses that the client knows, in place of the name"""
    redirects: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    """How many redirects (301, 302, 303, 307, 308) an attempt follows"""

    @property
    def patient(self) -> bool:
        """No time-out of its own: only the deadline ends a request, and nothing but its own end a connection."""
        return self.timeout_s >= NO_TIMEOUT_S

    @property
    def draws_evenly(self) -> bool:
        """Does each request go to an address of its own choice?"""
        return self.pool is None and (self.endpoints is None or self.endpoints.order == "random")

    @property
    def recorded_as_drawn(self) -> bool:
        """Does the record of a request with one attempt name the node that the client drew?"""
        return self.draws_evenly and not self.redirects

    def waits_s(self, retries: int) -> float:
        """The longest that the waits before so many retries take together."""
        return 0.0 if self.backoff is None else self.backoff.most_waits_s(retries)
