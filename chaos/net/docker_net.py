"""``kinds.Net`` on docker: packets are cut in the namespaces of both ends, streams are harmed by a proxy in the source's own.

    rules in force on a link      packets                                    stream
    Cut drop, Cut reject          dropped or rejected at both ends           -
    Toxic                         -                                          a toxic on the transparent proxy of the link
    both                          cut                                        and delayed where anything passes still

What is wanted in a namespace is the union of all active layers. Each change of it is one ``nft`` transaction there, all
namespaces at the same time, and counts once the table has been read back rule for rule.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from chaos.clock import Clock
from chaos.errors import CapabilityMissing, EnvironmentUnusable, FaultNotEffective, NinesError, NotHealed
from chaos.images import TOXIPROXY
from chaos.kinds import Cut, Layer, Link, RoundTrip, Rule, Toxic
from chaos.net import packets
from chaos.net.layers import LayeredNet, Measure
from chaos.net.needs import Needs
from chaos.net.packets import Namespace, Redirect
from chaos.net.transparent import Agent, Servers, at_once, control_port, planned_proxies, start

AT_ONCE: Final = 32


class DockerNet:
    """``addresses``: of every node, and of ``clients`` and ``dns``; ``ports``: of every node, by name.

    ``links`` are those that the plan's faults may name, ``needs`` what of them must be prepared (default: proxies in all of
    them). ``program`` is the Toxiproxy server inside the agents' containers.
    """

    def __init__(
        self,
        *,
        run: str,
        addresses: Mapping[str, str],
        ports: Mapping[str, Mapping[str, int]],
        links: Collection[Link],
        gateway: str,
        measure: Measure,
        clock: Clock,
        needs: Needs | None = None,
        program: str = TOXIPROXY,
    ) -> None:
        self._addresses = dict(addresses)
        self._gateway = gateway
        self._measure = measure
        self._clock = clock
        self._ends = frozenset(end for link in links for end in (link.source, link.destination))
        self._needs = needs or Needs(frozenset(link for link in links if link.destination in ports))
        self._control_port = control_port(ports)
        self._proxies = planned_proxies(run, self._needs.toxics, ports, addresses)
        self._program = program
        self._pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="net")
        self._servers = Servers(self._pool)
        proxies_of: dict[Link, list[str]] = {}
        for proxy in self._proxies:
            proxies_of.setdefault(proxy.link, []).append(proxy.name)
        self._streams = LayeredNet(self._servers, proxies_of, measure, clock)
        self._agents: dict[str, Agent] = {}
        self._lock = threading.Lock()
        self._active: dict[int, tuple[Cut, ...]] = {}
        self._count = 0

    # --- before the system starts ----------------------------------------------------------------------------------------

    def join(self, source: str, agent: Agent) -> None:
        """Prepare a namespace before its system's first packet: proxies, what turns connections into them, ``nft`` kept open.

        Safe from several threads. ``EnvironmentUnusable`` if Toxiproxy does not run there.
        """
        proxies = [proxy for proxy in self._proxies if proxy.link.source == source]
        if proxies:
            server = start(source, agent, self._addresses[source], self._control_port, proxies, self._program, self._clock)
            with self._lock:
                self._servers.add(server, proxies)
        with self._lock:
            self._agents[source] = agent
            wanted = self._wanted(source)
        if source in self._ends:
            try:
                self._apply_one(source, wanted, [*packets.standing_commands(wanted), *packets.commands(wanted)])
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
        cuts = tuple(rule for rule in rules if isinstance(rule, Cut))
        toxics = tuple(rule for rule in rules if isinstance(rule, Toxic))
        self._refuse(cuts)
        with ExitStack() as stack:
            in_force = []
            if toxics:
                in_force.append(stack.enter_context(self._streams.layer(toxics)))
            if cuts:
                in_force.append(stack.enter_context(self._packets(cuts)))
            effective_ns = max((layer.effective_at_ns for layer in in_force), default=self._clock.now_ns())
            yield Layer(effective_ns, "; ".join(layer.mechanism for layer in in_force))

    def measure(self, link: Link, timeout_s: float) -> RoundTrip:
        """One question from inside the source's namespace, by the way that its traffic takes, proxies included."""
        return self._measure(link, timeout_s)

    @contextmanager
    def _packets(self, cuts: tuple[Cut, ...]) -> Iterator[Layer]:
        with self._lock:
            self._count += 1
            number = self._count
            self._active[number] = cuts
            try:
                effective_ns = self._apply(cuts)
            except BaseException as error:
                self._take_back(number)
                if isinstance(error, NinesError):
                    raise FaultNotEffective(f"the packet rules could not be put in force: {error}") from error
                raise
        try:
            yield Layer(effective_ns, mechanism(cuts))
        finally:
            with self._lock:
                self._take_back(number)

    def _refuse(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            ends = (cut.link.source, cut.link.destination)
            unknown = [end for end in ends if end not in self._addresses]
            if unknown or not any(end in self._agents for end in ends):
                raise CapabilityMissing(
                    f"no agent stands at either end of the link {cut.link}",
                    how="only links that the plan's faults name are prepared: name it in the experiment",
                )
            if cut.existing == "keep" and not self._needs.ages:
                raise CapabilityMissing(
                    f"{cut.link}: connections were not watched from their beginning, so old ones cannot be told from new ones",
                    how="only what the plan's faults ask for is prepared: say 'existing: keep' in the experiment",
                )

    def _take_back(self, number: int) -> None:
        cuts = self._active.pop(number)
        try:
            self._apply(cuts)
        except NinesError as error:
            raise NotHealed(f"packet rules may still be in force: {error}") from error

    # --- one namespace ---------------------------------------------------------------------------------------------------

    def _apply(self, changed: Sequence[Cut]) -> int:
        """Bring the namespaces that these cuts concern to what is wanted now; the time when the last one was."""
        cuts = packets.packet_cuts(self._active.items(), self._addresses)
        wanted = {end: self._wanted(end, cuts.get(end, frozenset())) for end in packets.ends_of(changed) if end in self._agents}
        results = at_once(self._pool, list(wanted), lambda end: self._apply_one(end, wanted[end], packets.commands(wanted[end])))
        failures = [str(result) for result in results.values() if isinstance(result, NinesError)]
        if failures:
            raise FaultNotEffective("; ".join(failures))
        return max((result for result in results.values() if isinstance(result, int)), default=self._clock.now_ns())

    def _apply_one(self, end: str, wanted: Namespace, commands: list[str]) -> int:
        answer = self._agents[end].call("nft", commands=commands)
        wrong = packets.difference(wanted, answer.table)
        if wrong:
            raise FaultNotEffective(f"{end}: the rules read back are not those that were ordered: {wrong}")
        return answer.at_ns

    def _wanted(self, end: str, cuts: frozenset[packets.PacketCut] = frozenset()) -> Namespace:
        redirects: tuple[Redirect, ...] = tuple(proxy.redirect for proxy in self._proxies if proxy.link.source == end)
        return Namespace(self._gateway, cuts, redirects, self._needs.ages and end in self._ends)


def mechanism(cuts: Sequence[Cut]) -> str:
    """How rules of these kinds are brought about, for the report."""
    words = []
    for cut in cuts:
        which = "of new connections " if cut.existing == "keep" else ""
        told = "rejected (TCP reset, ICMP for the rest)" if cut.behavior == packets.REJECT else "dropped"
        words.append(f"nftables: packets {which}{told} in the namespaces of both ends")
    return "; ".join(dict.fromkeys(words))
