"""``kinds.Line`` by the agents at both ends: packets of ours over the link itself, on ports of our own, past no harm that is on it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from chaos.core.errors import FaultNotEffective
from chaos.core.values import Link, Passage, RoundTrip, Train
from chaos.experiment.target.spec import Ask
from chaos.net.addresses import Addresses
from chaos.net.packets import NO_PORTS
from chaos.runtimes.base.agents.net.proxies import Agent

ATTEMPTS = 3
GRACE_S = 3.0
"""Beyond what a measurement takes by itself: a busy machine."""


class Lines:
    """``agents`` of the ends that take part; more may come to be in it. ``ports``: of each node, by name."""

    def __init__(self, agents: Mapping[str, Agent], addresses: Addresses, ports: Mapping[str, Mapping[str, int]] = NO_PORTS) -> None:
        self._agents = agents
        self._addresses = addresses
        self._ports = ports

    def train(self, link: Link, datagrams: int, timeout_s: float, there: str = "") -> Train:
        """Send, then count until all have come or nothing more comes; again, if the machine itself lost some meanwhile.

        Over a link to one port the datagrams go to that port: of UDP, which a system that listens there by TCP leaves free.
        """
        for _ in range(ATTEMPTS - 1):
            train = self._train(link, datagrams, timeout_s, there)
            if not train.overrun:
                return train
        return self._train(link, datagrams, timeout_s, there)

    def _train(self, link: Link, datagrams: int, timeout_s: float, there: str) -> Train:
        number, port = self._open(link, "udp", there)
        sent = self._send(link, "udp", port, datagrams, timeout_s, there)
        counted = self._count(link, number, sent, timeout_s, timeout_s)
        return Train(
            sent=sent,
            arrived=int(counted["arrived"] or 0),
            doubled=int(counted["doubled"] or 0),
            damaged=int(counted["damaged"] or 0),
            early=int(counted["early"] or 0),
            overrun=int(counted["overrun"] or 0),
        )

    def flow(self, link: Link, size_bytes: int, timeout_s: float) -> Passage:
        """Send, and take the time at the other end."""
        number, port = self._open(link, "tcp")
        with ThreadPoolExecutor(1, thread_name_prefix="flow") as pool:
            counting = pool.submit(self._count, link, number, size_bytes, timeout_s, timeout_s)
            self._send(link, "tcp", port, size_bytes, timeout_s)
            counted = counting.result()
        last_s = counted["last_s"]
        return Passage(
            ended=str(counted["ended"]),
            bytes=int(counted["bytes"] or 0),
            pieces=int(counted["pieces"] or 0),
            last_s=float(last_s) if last_s is not None else None,
        )

    def opening(self, link: Link, network: str, timeout_s: float) -> RoundTrip:
        """How long a connection takes to open, to a port of ours at the link's end on this network; the system is not asked."""
        ((_, there),) = self._addresses.pairs(link, network)
        return self.opening_to(link, there, timeout_s)

    def opening_to(self, link: Link, there: str, timeout_s: float) -> RoundTrip:
        """The same to this address of the link's end."""
        missing = [end for end in (link.source, link.destination) if end not in self._agents]
        if missing:
            return RoundTrip(None, f"not measurable: no agent stands at {missing[0]}")
        number, port = self._open(link, "tcp", there)
        try:
            answer = self._agents[link.source].ask(Ask(tcp=f"{there}:{port}"), timeout_s)
        finally:
            self._count(link, number, 0, 0.0, 0.0)
        return RoundTrip(answer.rtt_s, answer.error if answer.rtt_s is None else None)

    def _open(self, link: Link, kind: str, there: str = "") -> tuple[int, int]:
        on = self._ports[link.destination][link.port] if link.port else 0
        opened = self._agent(link, link.destination).call("line.open", kind=kind, ipv6=":" in there, port=on).result
        return int(opened["number"] or 0), int(opened["port"] or 0)

    def _send(self, link: Link, kind: str, port: int, amount: int, within_s: float, there: str = "") -> int:
        fields = {"kind": kind, "address": there or self._addresses.used(link), "port": port, "amount": amount, "within_s": within_s}
        return int(self._agent(link, link.source).call("line.send", within_s + GRACE_S, **fields).result["sent"] or 0)

    def _count(self, link: Link, number: int, amount: int, quiet_s: float, within_s: float) -> dict[str, float | str | None]:
        fields = {"number": number, "amount": amount, "quiet_s": quiet_s, "within_s": within_s}
        return self._agent(link, link.destination).call("line.count", within_s + GRACE_S, **fields).result

    def _agent(self, link: Link, end: str) -> Agent:
        if end not in self._agents:
            raise FaultNotEffective(f"{link}: no agent stands at {end}, so what passes could not be counted")
        return self._agents[end]
