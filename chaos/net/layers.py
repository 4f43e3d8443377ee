"""Layers of rules on links that a stream proxy stands in: they stack, and leaving one takes away its rules and no others.

    rules in force on a link                     proxy
    none                                         open, no toxics
    Toxic                                        a toxic of that type; two layers: two toxics, both act
    Cut drop                                     toxic ``timeout`` 0 on both streams: a new connection completes, then hangs
    Cut reject                                   closed: open connections are closed, new ones refused
    Cut and anything else                        as cut: what passes no bytes also delays none

A proxy cuts a byte stream, not packets: under ``drop`` the connect still succeeds, and when it is healed the connections it held
are closed, not revived. Every change is read back from the server before it counts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, FaultNotEffective, NinesError, NotHealed
from chaos.core.values import TIMERS_LATE_S, Cut, Link, Loss, Passage, RoundTrip, Rule, Shaping, Toxic
from chaos.net.toxiproxy.toxics import DOWNSTREAM, UPSTREAM, ProxyToxic, Removed, ToxicOn
from chaos.plugin import Layer

KEEP = "keep"
CUT = "cut"
REJECT = "reject"
SPARES_MS: Final = 2.0


class Proxies(Protocol):
    """What layers need of a proxy server (``net.toxiproxy.ToxiproxyServer`` is one). Failing calls raise a ``NinesError``."""

    def add_toxics(self, additions: Sequence[ToxicOn], *, existing: str = "keep") -> int:
        """All in force, read back; the time when the last one was. If one fails, none stays."""
        ...

    def remove_toxics(self, removals: Sequence[ToxicOn]) -> list[Removed]:
        """All gone, read back; each is tried before ``NotHealed``."""
        ...

    def set_enabled(self, name: str, *, enabled: bool) -> int:
        """Open, or closed with all its connections, read back; the time when it was."""
        ...


class ProxyGauge(Protocol):
    """What layers need to measure more than round trips (``net.gauge.ProxyGauge`` is one)."""

    def passage(self, proxy: str, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Bytes of ours through what is in force on this proxy."""
        ...


Measure = Callable[[Link, float], RoundTrip]
StreamRule = Toxic | Cut
"""What a stream proxy can do."""


class _Layer(msgspec.Struct, frozen=True):
    toxics: tuple[tuple[str, tuple[ToxicOn, ...]], ...]
    """What to do with open connections -> toxics."""
    closed: frozenset[str]
    """Proxies that this layer wants closed."""


class LayeredNet:
    """``kinds.Net`` over proxies: ``proxies_of`` names the proxies (one a port) that stand in each link."""

    def __init__(
        self,
        proxies: Proxies | None,
        proxies_of: Mapping[Link, Sequence[str]],
        measure: Measure,
        clock: Clock,
        gauge: ProxyGauge | None = None,
    ) -> None:
        self._proxies = proxies
        self._gauge = gauge
        self._proxies_of = proxies_of
        self._measure = measure
        self._clock = clock
        self._lock = threading.Lock()
        self._active: dict[str, _Layer] = {}
        self._count = 0

    @contextmanager
    def layer(self, rules: Sequence[Rule]) -> Iterator[Layer]:
        """Put the rules in force; leaving removes them.

        ``CapabilityMissing`` for what a stream proxy cannot do; ``FaultNotEffective`` if they could not be put in force (what was
        is taken back first); ``NotHealed`` if they cannot be shown to be gone.
        """
        doable = self._doable(rules)
        with self._lock:
            self._count += 1
            name = f"layer{self._count}"
            layer = self._plan(name, doable)
            self._active[name] = layer
            try:
                effective_ns = self._put(layer)
            except BaseException as error:
                self._take_back(name)
                if isinstance(error, NinesError):
                    raise FaultNotEffective(f"the rules could not be put in force: {error}") from error
                raise
        in_force = Layer(effective_at_ns=effective_ns, mechanism=mechanism(doable))
        try:
            yield in_force
        finally:
            with self._lock:
                in_force.healed_at_ns = self._take_back(name)

    def moved(self, proxies: Collection[str], put: Callable[[], None]) -> None:
        """These proxies stand anew (``put`` makes them known): what is in force on them is put in force there as well."""
        with self._lock:
            put()
            server = self._server()
            for proxy in sorted({name for layer in self._active.values() for name in layer.closed} & set(proxies)):
                server.set_enabled(proxy, enabled=False)
            for layer in self._active.values():
                for existing, toxics in layer.toxics:
                    if mine := [each for each in toxics if each.proxy in proxies]:
                        server.add_toxics(mine, existing=existing)

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question by the way that the traffic of this link takes."""
        return self._measure(link, timeout_s)

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Bytes of ours through the toxics of this link; see ``net.gauge``. Its proxies have the same ones, but for those of one port."""
        if self._gauge is None or link.whole not in self._proxies_of:
            raise CapabilityMissing(
                f"no proxy stands in the link {link}, so no bytes can be sent through one",
                how="only links that the plan's faults name are proxied: name it in the experiment",
            )
        return self._gauge.passage(self._standing(link.whole, link.port)[0], stream, size_bytes, timeout_s)

    def _standing(self, link: Link, port: str) -> list[str]:
        """The proxies in a link, or the one before that port, whose name it ends in."""
        return [name for name in self._proxies_of[link] if not port or name.endswith(f".{port}")]

    def _doable(self, rules: Sequence[Rule]) -> list[StreamRule]:
        found: list[StreamRule] = []
        for rule in rules:
            if isinstance(rule, Loss | Shaping):
                raise CapabilityMissing(
                    f"{rule.link}: a stream proxy sees no packets, so it can lose or delay none", how="use the runtime 'docker'"
                )
            if rule.link not in self._proxies_of:
                raise CapabilityMissing(
                    f"no proxy stands in the link {rule.link}",
                    how="only links that the plan's faults name are proxied: name it in the experiment",
                )
            if isinstance(rule, Toxic | Cut) and not self._standing(rule.link, rule.port):
                raise CapabilityMissing(f"no proxy stands in the port '{rule.port}' of the link {rule.link}", how="a port of its end")
            if isinstance(rule, Cut) and rule.existing == KEEP:
                raise CapabilityMissing(
                    f"{rule.link}: a stream proxy cannot cut new connections and keep open ones",
                    how="use 'existing: cut', or a runtime with packet rules",
                )
            found.append(rule)
        return found

    def _plan(self, name: str, rules: Sequence[StreamRule]) -> _Layer:
        toxics: dict[str, list[ToxicOn]] = {}
        taken: set[tuple[str, str]] = set()
        closed: set[str] = set()
        for rule in rules:
            for proxy in self._standing(rule.link, rule.port):
                if isinstance(rule, Cut) and rule.behavior == REJECT:
                    closed.add(proxy)
                for toxic in _toxics(name, rule):
                    unique, number = toxic.name, 1
                    while (proxy, unique) in taken:  # one layer may hold two toxics of one type and stream
                        number += 1
                        unique = f"{toxic.name}_{number}"
                    taken.add((proxy, unique))
                    existing = rule.existing if isinstance(rule, Toxic) else KEEP
                    toxics.setdefault(existing, []).append(ToxicOn(proxy, msgspec.structs.replace(toxic, name=unique)))
        return _Layer(tuple((existing, tuple(items)) for existing, items in toxics.items()), frozenset(closed))

    def _put(self, layer: _Layer) -> int:
        server = self._server()
        effective_ns = self._clock.now_ns()
        for proxy in sorted(layer.closed - self._closed_by_others(layer)):
            effective_ns = max(effective_ns, server.set_enabled(proxy, enabled=False))
        for existing, toxics in layer.toxics:
            effective_ns = max(effective_ns, server.add_toxics(toxics, existing=existing))
        return effective_ns

    def _take_back(self, name: str) -> int | None:
        """Everything of this layer, each thing tried, whatever happens to the others; when the last of it was gone, if that is known."""
        layer = self._active.pop(name)
        server = self._server()
        left: list[str] = []
        gone_ns: list[int] = []
        for proxy in sorted(layer.closed - self._closed_by_others(layer)):
            try:
                gone_ns.append(server.set_enabled(proxy, enabled=True))
            except NinesError as error:
                left.append(f"proxy {proxy} may still be closed: {error}")
        for _, toxics in layer.toxics:
            try:
                gone_ns += [removed.at_ns for removed in server.remove_toxics(toxics)]
            except NinesError as error:
                left.append(str(error))
        if left:
            raise NotHealed("; ".join(left))
        return max(gone_ns, default=None)

    def _closed_by_others(self, layer: _Layer) -> frozenset[str]:
        return frozenset(proxy for other in self._active.values() if other is not layer for proxy in other.closed)

    def _server(self) -> Proxies:
        if self._proxies is None:
            raise CapabilityMissing("this run has no proxies", how="no fault of its plan names a link")
        return self._proxies


def mechanism(rules: Sequence[StreamRule]) -> str:
    """How rules of these kinds are brought about, for the report."""
    words = []
    for rule in rules:
        if isinstance(rule, Toxic):
            words.append(f"Toxiproxy {rule.type} toxic, {rule.stream}")
        elif rule.behavior == REJECT:
            words.append("Toxiproxy proxy closed (open connections closed, new ones refused)")
        else:
            words.append("Toxiproxy timeout toxic 0, both streams (connects complete, then nothing passes)")
    return "; ".join(dict.fromkeys(words))


def _toxics(layer: str, rule: StreamRule) -> list[ProxyToxic]:
    if isinstance(rule, Toxic):
        streams = (UPSTREAM, DOWNSTREAM) if rule.stream == "both" else (rule.stream,)
        return [ProxyToxic(f"{layer}_{rule.type}_{each}", rule.type, ordered(rule), each, rule.toxicity) for each in streams]
    if rule.behavior == REJECT:
        return []
    return [ProxyToxic(f"{layer}_timeout_{each}", "timeout", {"timeout": 0.0}, each) for each in (UPSTREAM, DOWNSTREAM)]


def ordered(rule: Toxic) -> dict[str, float]:
    """What the server is asked for. Its timers wait for whole milliseconds of ``epoll_wait(2)`` and end up to 1 ms late, so a delay that
    can spare one is ordered a millisecond shorter: what is achieved is then the nearer to what was asked.
    """
    late_ms = rule.attributes.get("latency", 0.0) if rule.type == "latency" else 0.0
    return rule.attributes | {"latency": late_ms - TIMERS_LATE_S * 1e3} if late_ms >= SPARES_MS else dict(rule.attributes)
