"""Queues in front of links, in the namespaces that the packets leave from: layers of ``Shaping`` rules, put by ``tc`` and read back.

What cannot be brought from one state to the next is made anew from nothing, so that whatever was left half done is gone as well.
Beside ``Loss``, which packet rules do where packets arrive, this sees to it that they come one by one: the kernel hands large pieces
of a stream from one container to the other as one packet, and dice thrown once for 40 of them would be no loss of packets.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import msgspec

from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, FaultNotEffective, NinesError, NotHealed
from chaos.core.values import Loss, Shaping
from chaos.net import tc as shaping
from chaos.net.addresses import Addresses
from chaos.net.tc import Leaf
from chaos.plugin import Layer
from chaos.runtimes.base.agents.net.proxies import Agent, at_once


class _There(msgspec.Struct):
    """What stands in one namespace, as far as we know."""

    leaves: dict[str, frozenset[Leaf]]
    """Interface -> what is on it."""
    sure: bool = True
    single: bool = False


class Queues:
    """``addresses``: of every end; a link that is on several networks has a queue on each. Namespaces become known by ``join``."""

    def __init__(self, addresses: Addresses, pool: Executor, clock: Clock) -> None:
        self._addresses = addresses
        self._pool = pool
        self._clock = clock
        self._lock = threading.Lock()
        self._agents: dict[str, Agent] = {}
        self._ways: dict[str, dict[str, str]] = {}
        self._there: dict[str, _There] = {}
        self._lost: set[str] = set()
        """Whose network is no more, and all queues with it."""
        self._active: dict[int, tuple[Shaping | Loss, ...]] = {}
        self._count = 0

    def join(self, source: str, agent: Agent) -> None:
        """This namespace can be given queues. In another life of its container, what is in force is put in force there as well."""
        with self._lock:
            again = source in self._agents
            self._agents[source] = agent
            self._lost.discard(source)
            if again:
                self._ways.pop(source, None)
                self._there.pop(source, None)
                self._apply_one(source, self._wanted().get(source, frozenset()), source in self._losing())

    def lost(self, source: str) -> None:
        """This namespace is no more: there is nothing in it to take back."""
        self._lost.add(source)

    @contextmanager
    def layer(self, rules: Sequence[Shaping | Loss]) -> Iterator[Layer]:
        """Put the rules in force; leaving removes them and no others. Errors as of ``AgentNet.layer``."""
        for rule in rules:
            if rule.link.source not in self._agents or rule.link.destination not in self._addresses:
                raise CapabilityMissing(
                    f"no agent stands where packets of {rule.link} leave from", how="only links that the plan's faults name are prepared"
                )
        with self._lock:
            self._count += 1
            number = self._count
            self._active[number] = tuple(rules)
            try:
                self._wanted()  # what one queue cannot hold is refused before anything is done
            except CapabilityMissing:
                del self._active[number]
                raise
            try:
                effective_ns = self._apply(rules)
            except BaseException as error:
                self._take_back(number)
                if isinstance(error, NinesError):
                    raise FaultNotEffective(f"the queues could not be put in force: {error}") from error
                raise
        layer = Layer(effective_ns, mechanism(rules))
        try:
            yield layer
        finally:
            with self._lock:
                gone_ns = self._take_back(number)
            if any(isinstance(rule, Shaping) for rule in rules):  # how packets are handed on harms nobody
                layer.healed_at_ns = gone_ns

    def _take_back(self, number: int) -> int:
        rules = self._active.pop(number)
        try:
            return self._apply(rules)
        except NinesError as error:
            raise NotHealed(f"queues may still stand in front of links: {error}") from error

    def _wanted(self) -> dict[str, frozenset[Leaf]]:
        shaped = [rule for rules in self._active.values() for rule in rules if isinstance(rule, Shaping)]
        found: dict[str, frozenset[Leaf]] = {}
        for ends in self._addresses.each():
            here = (rule for rule in shaped if rule.link.source in ends and rule.link.destination in ends)
            for source, leaves in shaping.leaves(here, ends).items():
                found[source] = found.get(source, frozenset()) | leaves
        return found

    def _apply(self, changed: Sequence[Shaping | Loss]) -> int:
        wanted = self._wanted()
        losing = self._losing()
        sources = sorted({rule.link.source for rule in changed})
        results = at_once(self._pool, sources, lambda source: self._apply_one(source, wanted.get(source, frozenset()), source in losing))
        failures = [str(result) for result in results.values() if isinstance(result, NinesError)]
        if failures:
            raise FaultNotEffective("; ".join(failures))
        return max(result for result in results.values() if isinstance(result, int))

    def _losing(self) -> set[str]:
        return {rule.link.source for rules in self._active.values() for rule in rules if isinstance(rule, Loss)}

    def _apply_one(self, source: str, wanted: frozenset[Leaf], single: bool) -> int:
        at_ns = self._clock.now_ns()
        if source in self._lost:
            return at_ns
        there = self._there.setdefault(source, _There({}))
        if single != there.single:
            self._hand_on_singly(source, there, single)
        if wanted or any(there.leaves.values()) or not there.sure:
            at_ns = self._bring(source, there, wanted)
        return at_ns

    def _hand_on_singly(self, source: str, there: _There, on: bool) -> None:
        devices = sorted(set(self._ways_of(source).values()))
        answer = self._agents[source].call("shaping.single", devices=devices, on=on)
        there.single = on
        if on and not all(answer.result.values()):
            raise FaultNotEffective(f"{source}: its packets do not leave one by one, so that losing them would lose many at a time")

    def _bring(self, source: str, there: _There, wanted: frozenset[Leaf]) -> int:
        """From what is there to what is wanted; if that does not lead there, from nothing."""
        ways = self._ways_of(source)
        by_device: dict[str, frozenset[Leaf]] = dict.fromkeys({*ways.values(), *there.leaves}, frozenset())
        for leaf in wanted:
            device = ways[leaf.peers[0][1]]
            by_device[device] |= {leaf}
        if there.sure:
            there.sure = False
            try:
                return self._put(source, there, by_device, there.leaves)
            except FaultNotEffective:
                if wanted - frozenset().union(*there.leaves.values()):
                    raise  # something new was not to be had: the caller takes it back, and that begins from nothing
        self._agents[source].call("shaping.clear", devices=sorted(by_device))
        return self._put(source, there, by_device, {})

    def _put(
        self, source: str, there: _There, wanted: Mapping[str, frozenset[Leaf]], now: Mapping[str, frozenset[Leaf]]
    ) -> int:  # fmt: skip
        lines = [line for device, leaves in wanted.items() for line in shaping.commands(device, now.get(device, frozenset()), leaves)]
        answer = self._agents[source].call("shaping.put", lines=lines, devices=sorted(wanted))
        for device, leaves in wanted.items():
            wrong = shaping.difference(leaves, msgspec.json.decode(str(answer.result[device])))
            if wrong:
                raise FaultNotEffective(f"{source}: the queues read back from {device} are not those that were ordered: {wrong}")
        there.leaves, there.sure = dict(wanted), True
        return answer.at_ns

    def _ways_of(self, source: str) -> dict[str, str]:
        """Address -> interface; a namespace keeps its interfaces for the whole run, so only addresses are asked for that are new."""
        others = self._addresses.others(source)
        if not self._ways.get(source, {}).keys() >= set(others):
            answer = self._agents[source].call("shaping.ways", addresses=others)
            self._ways[source] = {address: str(device) for address, device in answer.result.items()}
        return self._ways[source]


def mechanism(rules: Sequence[Shaping | Loss]) -> str:
    """How rules of these kinds are brought about, for the report; what packet rules do tells itself."""
    words = []
    for rule in rules:
        if isinstance(rule, Shaping):
            how = "tbf (token bucket)" if rule.what == "rate" else f"netem {rule.what}"
            words.append(f"tc {how}: all packets of a link, where they leave")
    return "; ".join(dict.fromkeys(words))
