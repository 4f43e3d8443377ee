"""``kinds.Net`` on docker: packets are cut in the namespaces of both ends, streams are harmed by a proxy in the source's own.

    rules in force on a link      packets                                    stream
    Cut drop, Cut reject          dropped or rejected at both ends           -
    Toxic                         -                                          a toxic on the transparent proxy of the link
    both                          cut                                        and delayed where anything passes still
    Loss                          dropped by chance where they arrive        -
    Shaping                       a queue of the kernel where they leave     -

What is wanted in a namespace is the union of all active layers. Each change of it is one ``nft`` transaction there, all
namespaces at the same time, and counts once the table has been read back rule for rule.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable, FaultNotEffective, NinesError, NotHealed
from chaos.core.values import Cut, Link, Loss, Passage, RoundTrip, Rule, Shaping, Toxic, Train
from chaos.engine.images.ensure import TOXIPROXY
from chaos.net import nft, packets
from chaos.net.addresses import Addresses
from chaos.net.layers import LayeredNet, Measure
from chaos.net.needs import Needs
from chaos.net.packets import Namespace, Redirect
from chaos.net.transfer import EndsThere, ProxyGauge
from chaos.plugin import Layer
from chaos.runtimes.base.agents.link import AgentGone
from chaos.runtimes.base.agents.net import intercept as aside
from chaos.runtimes.base.agents.net.packet_test import Lines
from chaos.runtimes.base.agents.net.proxies import Agent, Servers, at_once, control_port, planned_proxies, start
from chaos.runtimes.base.agents.net.queues import Queues

AT_ONCE: Final = 32


class AgentNet:
    """``addresses``: of every node, and of ``clients`` and ``dns``, on all networks; ``ports``: of every node, by name.

    ``links`` are those that the plan's faults may name, ``needs`` what of them must be prepared (default: proxies in all of
    them). ``program`` is the Toxiproxy server inside the agents' containers. ``late``: the system runs before its agents come, and
    what it has open is cut once where proxies are to stand.
    """

    def __init__(
        self,
        *,
        run: str,
        addresses: Addresses,
        ports: Mapping[str, Mapping[str, int]],
        links: Collection[Link],
        gateway: str,
        measure: Measure,
        clock: Clock,
        needs: Needs | None = None,
        program: str = TOXIPROXY,
        late: bool = False,
    ) -> None:
        self._addresses = addresses
        self._ports = ports
        self._gateway = gateway
        self._measure = measure
        self._clock = clock
        self._ends = frozenset(end for link in links for end in (link.source, link.destination))
        self._needs = needs or Needs(frozenset(link for link in links if link.destination in ports))
        self._control_port = control_port(ports)
        self._proxies = planned_proxies(run, self._needs.toxics, ports, addresses)
        self._program = program
        self._late = late
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="net")
        self._servers = Servers(self._pool)
        proxies_of: dict[Link, list[str]] = {}
        for proxy in self._proxies:
            proxies_of.setdefault(proxy.link, []).append(proxy.name)
        self._streams = LayeredNet(self._servers, proxies_of, measure, clock, self._servers)
        self._agents: dict[str, Agent] = {}
        self._lock = threading.Lock()
        self._queues = Queues(self._addresses, self._pool, clock)
        self._lines = Lines(self._agents, self._addresses, ports)
        self._active: dict[int, tuple[Cut | Loss, ...]] = {}
        self._count = 0

    # --- before the system starts ----------------------------------------------------------------------------------------

    def check(self, source: str, agent: Agent) -> None:
        """Of a system that was there before us: refuse what could not be done to it, while nothing has been."""
        self._learn(source, agent)
        if redirects := self.redirects_of(source):
            aside.refuse_unable(source, agent, redirects, self._control_port)

    def join(self, source: str, agent: Agent) -> None:
        """Prepare a namespace before its system's first packet: proxies, what turns connections into them, ``nft`` kept open.

        Of a system that was there before us, what it had open to them is ended, and shown to be. Safe from several threads.
        ``EnvironmentUnusable`` if Toxiproxy does not run there, or old connections stay.
        """
        proxies = [proxy for proxy in self._proxies if proxy.link.source == source]
        moved = self._learn(source, agent)
        if proxies:
            server = start(source, agent, self._addresses.first(source), self._control_port, proxies, self._program, self._clock)
            gauge = ProxyGauge(server, EndsThere(agent))
            with self._lock:
                self._agents[source] = agent
                self._streams.moved([proxy.name for proxy in proxies], lambda: self._servers.add(server, proxies, gauge))
        self._put_rules(source, agent)
        if moved:
            self._put_rules_elsewhere(source)
        if proxies and self._late:
            aside.cut_old(source, agent, self.redirects_of(source))

    def _learn(self, source: str, agent: Agent) -> bool:
        """Every address that it has; whether there are others than before. ``CapabilityMissing`` for harm that would miss some of them."""
        moved = self._addresses.learn(source, str(agent.call("line.stands").result["addresses"] or "").split())
        places = [each for each in self._addresses.of_ipv6(source) if not each.startswith("fe80:")]
        if places and any(source in (link.source, link.destination) for link in self._needs.toxics):
            raise _ipv6_missed(source, places, "a proxy harms the streams of its IPv4 address alone", "'partition', 'power_off' and 'loss'")
        if places and self._needs.queues and source in self._ends:
            raise _ipv6_missed(source, places, "a queue harms packets to IPv4 addresses alone", "'partition', 'power_off' and 'loss'")
        return moved

    def _put_rules_elsewhere(self, source: str) -> None:
        """What is in force, where others must know of new addresses. Who is between two lives is told when it joins again."""
        with self._lock:
            ends = packets.ends_of([rule for rules in self._active.values() for rule in rules])
            wanted = self._wanted_now(end for end in ends if end != source)
            results = at_once(self._pool, list(wanted), lambda end: self._apply_one(end, wanted[end], nft.commands(wanted[end])))
        failures = [str(each) for each in results.values() if isinstance(each, NinesError) and not isinstance(each, AgentGone)]
        if failures:
            raise FaultNotEffective("; ".join(failures))

    def lost(self, source: str, agent: Agent) -> None:
        """The namespace in which this agent stands is no more, and all that was in it."""
        # Without the lock: the agent's own thread tells it, which others who hold the lock may wait for.
        if self._agents.get(source) is agent:
            self._queues.lost(source)
            self._servers.lose(proxy.name for proxy in self._proxies if proxy.link.source == source)

    def _put_rules(self, source: str, agent: Agent) -> None:
        with self._lock:
            self._agents[source] = agent
            self._queues.join(source, agent)
            wanted = self._wanted(source)
            if self._active:
                # In another life of its container: what is in force holds in its new network too, before anything else changes.
                wanted = self._wanted_now([source]).get(source, wanted)
                self._apply_one(source, wanted, [*nft.standing_commands(wanted), *nft.commands(wanted)])
                return
        if source in self._ends:
            try:
                self._apply_one(source, wanted, [*nft.standing_commands(wanted), *nft.commands(wanted)])
            except FaultNotEffective as error:
                raise EnvironmentUnusable(
                    f"packet rules cannot be made in a container: {error}",
                    how="a kernel with nf_tables (modprobe nf_tables nft_ct nft_redir)",
                ) from error

    def close(self) -> None:
        """No more changes."""
        self._pool.shutdown(wait=True)

    # --- layers ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def layer(self, rules: Sequence[Rule]) -> Iterator[Layer]:
        """Put the rules in force; leaving removes them and no others.

        ``CapabilityMissing`` for what was not prepared; ``FaultNotEffective`` if they could not be put in force (what was is
        taken back first); ``NotHealed`` if they cannot be shown to be gone.
        """
        cuts = tuple(rule for rule in rules if isinstance(rule, Cut | Loss))
        queued = tuple(rule for rule in rules if isinstance(rule, Shaping | Loss))
        toxics = tuple(rule for rule in rules if isinstance(rule, Toxic))
        self._refuse(cuts)
        bare = [str(rule.link) for rule in toxics if rule.link not in self._needs.toxics]
        if bare:
            raise CapabilityMissing(f"no proxy stands on '{bare[0]}'", how="faults that need none: 'partition', 'loss'")
        in_force: list[Layer] = []
        with ExitStack() as stack:
            if toxics:
                in_force.append(stack.enter_context(self._streams.layer(toxics)))
            if queued:
                in_force.append(stack.enter_context(self._queues.layer(queued)))
            if cuts:
                in_force.append(stack.enter_context(self._packets(cuts)))
            effective_ns = max((layer.effective_at_ns for layer in in_force), default=self._clock.now_ns())
            whole = Layer(effective_ns, "; ".join(layer.mechanism for layer in in_force if layer.mechanism))
            yield whole
        whole.healed_at_ns = max((layer.healed_at_ns for layer in in_force if layer.healed_at_ns is not None), default=None)

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question from inside the source's namespace, by the way that its traffic takes, proxies included."""
        return self._measure(link, timeout_s)

    def networks_of(self, link: Link) -> tuple[str, ...]:
        """Those that both its ends stand on, where they have names."""
        return tuple(name for name in self._addresses.networks if self._addresses.pairs(link, name))

    def measure_on(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        """A connection of ours over this network alone, whatever the system says there: packets pass or they do not."""
        return self._lines.opening(link, network, timeout_s)

    def opening(self, link: Link, timeout_s: float) -> RoundTrip:
        """A connection of ours to a port of ours at the link's end: of a system of which no port is known."""
        return self._lines.opening_to(link, self._addresses.used(link), timeout_s)

    def passage(self, link: Link, stream: str, size_bytes: int, timeout_s: float) -> Passage:
        """Bytes of ours through the toxics of this link, in the namespace of its source; packet rules do not touch them."""
        return self._streams.passage(link, stream, size_bytes, timeout_s)

    def train(self, link: Link, datagrams: int, timeout_s: float) -> Train:
        """Datagrams of ours over the link itself, counted at its end."""
        return self._lines.train(link, datagrams, timeout_s)

    def beyond(self, link: Link) -> tuple[str, ...]:
        """Addresses of its end that the plan does not know, IPv6 above all; none where an agent is missing that could measure."""
        return self._addresses.beyond(link) if {link.source, link.destination} <= self._agents.keys() else ()

    def measure_to(self, link: Link, there: str, timeout_s: float) -> RoundTrip:
        """A connection of ours to one of them: packets pass or they do not."""
        return self._lines.opening_to(link, there, timeout_s)

    def train_to(self, link: Link, there: str, datagrams: int, timeout_s: float) -> Train:
        """Datagrams of ours to one of them."""
        return self._lines.train(link, datagrams, timeout_s, there)

    def flow(self, link: Link, size_bytes: int, timeout_s: float) -> Passage:
        """Bytes of ours over the link itself, past its proxies and through everything that is done to packets."""
        return self._lines.flow(link, size_bytes, timeout_s)

    @contextmanager
    def _packets(self, cuts: tuple[Cut | Loss, ...]) -> Iterator[Layer]:
        with self._lock:
            self._count += 1
            number = self._count
            self._active[number] = cuts
            try:
                effective_ns = self._in_force_ns(cuts, self._apply(cuts))
            except BaseException as error:
                self._take_back(number)
                if isinstance(error, NinesError):
                    raise FaultNotEffective(f"the packet rules could not be put in force: {error}") from error
                raise
        layer = Layer(effective_ns, mechanism(cuts))
        try:
            yield layer
        finally:
            with self._lock:
                layer.healed_at_ns = self._take_back(number)

    def _refuse(self, cuts: Sequence[Cut | Loss]) -> None:
        for cut in cuts:
            ends = (cut.link.source, cut.link.destination)
            unknown = [end for end in ends if end not in self._addresses]
            if unknown or not any(end in self._agents for end in ends):
                raise CapabilityMissing(
                    f"no agent stands at either end of the link {cut.link}",
                    how="only links that the plan's faults name are prepared: name it in the experiment",
                )
            if cut.port and cut.port not in self._ports.get(cut.link.destination, {}):
                raise CapabilityMissing(f"{cut.link}: its end has no port '{cut.port}'", how="a port of the node at its end")
            if isinstance(cut, Cut) and not self._addresses.pairs(cut.link, cut.network):
                raise CapabilityMissing(
                    f"{cut.link}: its ends do not share the network '{cut.network}'", how="clients and name server stand on the first one"
                )
            if isinstance(cut, Cut) and cut.existing == "keep" and not self._needs.ages:
                raise CapabilityMissing(
                    f"{cut.link}: connections were not watched from their beginning, so old ones cannot be told from new ones",
                    how="only what the plan's faults ask for is prepared: say 'existing: keep' in the experiment",
                )

    def _in_force_ns(self, rules: Sequence[Cut | Loss], at_ns: Mapping[str, int]) -> int:
        """Since when all links are harmed: a cut one is from the first of its ends on."""
        links = []
        for rule in rules:
            ends = (rule.link.source, rule.link.destination) if isinstance(rule, Cut) else (self._dice_of(rule),)
            links.append([at_ns[end] for end in ends if end in at_ns])
        return max((min(ends) for ends in links if ends), default=self._clock.now_ns())

    def _dice_of(self, loss: Loss) -> str:
        """The end that throws them."""
        return packets.thrower(loss.link, self._agents)

    def _take_back(self, number: int) -> int | None:
        """When the last of them was gone; None if the namespaces are."""
        cuts = self._active.pop(number)
        try:
            return max(self._apply(cuts).values(), default=None)
        except NinesError as error:
            raise NotHealed(f"packet rules may still be in force: {error}") from error

    # --- one namespace ---------------------------------------------------------------------------------------------------

    def _apply(self, changed: Sequence[Cut | Loss]) -> dict[str, int]:
        """Bring the namespaces that these cuts concern to what is wanted now; when each of them was."""
        wanted = self._wanted_now(packets.ends_of(changed))
        results = at_once(self._pool, list(wanted), lambda end: self._apply_one(end, wanted[end], nft.commands(wanted[end])))
        failures = [str(result) for result in results.values() if isinstance(result, NinesError)]
        if failures:
            raise FaultNotEffective("; ".join(failures))
        return {end: result for end, result in results.items() if isinstance(result, int)}

    def _apply_one(self, end: str, wanted: Namespace, commands: list[str]) -> int:
        answer = self._agents[end].call("nft", commands=commands)
        wrong = nft.difference(wanted, answer.table)
        if wrong:
            raise FaultNotEffective(f"{end}: the rules read back are not those that were ordered: {wrong}")
        return answer.at_ns

    def _wanted_now(self, ends: Iterable[str]) -> dict[str, Namespace]:
        """The rules of all layers in force, in each of these namespaces."""
        layers = self._active.items()
        cut = [(number, [rule for rule in rules if isinstance(rule, Cut)]) for number, rules in layers]
        cuts = packets.packet_cuts(cut, self._addresses, self._ports)
        lost = [(number, [rule for rule in rules if isinstance(rule, Loss)]) for number, rules in layers]
        losses = packets.packet_losses(lost, self._addresses, self._agents, self._ports)
        return {end: self._wanted(end, cuts.get(end, frozenset()), losses.get(end, frozenset())) for end in ends if end in self._agents}

    def _wanted(
        self, end: str, cuts: frozenset[packets.PacketCut] = frozenset(), losses: frozenset[packets.PacketLoss] = frozenset()
    ) -> Namespace:
        control = self._control_port if self._late else None
        return Namespace(self._gateway, cuts, self.redirects_of(end), self._needs.ages and end in self._ends, losses, control)

    def redirects_of(self, end: str) -> tuple[Redirect, ...]:
        """What turns connections that are opened there aside."""
        return tuple(proxy.redirect for proxy in self._proxies if proxy.link.source == end)


def _ipv6_missed(source: str, places: Sequence[str], why: str, instead: str) -> CapabilityMissing:
    return CapabilityMissing(
        f"{source} has IPv6 addresses too ({', '.join(places)}), and {why}: what goes there would pass unharmed",
        how=f"a network without IPv6, or --sysctl net.ipv6.conf.all.disable_ipv6=1 for its container; {instead} hold for both",
    )


def mechanism(cuts: Sequence[Cut | Loss]) -> str:
    """How rules of these kinds are brought about, for the report."""
    words = []
    for cut in cuts:
        if isinstance(cut, Loss):
            which = f"to the port '{cut.port}' " if cut.port else ""
            words.append(f"nftables: each packet {which}dropped with {cut.share:.4g} by chance in the namespace where it arrives")
            continue
        which = "of new connections " if cut.existing == "keep" else ""
        told = "rejected (TCP reset, ICMP for the rest)" if cut.behavior == packets.REJECT else "dropped, untold to the sender,"
        where = f"of the network '{cut.network}' " if cut.network else f"to the port '{cut.port}' and from there " if cut.port else ""
        words.append(f"nftables: packets {which}{where}{told} in the namespaces of both ends")
    return "; ".join(dict.fromkeys(words))
