"""Pairs of containers, agent and talker, on a network of their own: what ``AgentNet`` is tried on, without a whole runtime."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from chaos.core.clock import MonotonicClock
from chaos.core.values import Link, RoundTrip
from chaos.engine.connection import Engine
from chaos.engine.images.ensure import AGENT
from chaos.engine.networks import make_network
from chaos.experiment.target.spec import Ask
from chaos.net.addresses import Addresses
from chaos.net.needs import Needs
from chaos.query import question as asking
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.base.agents.net.net import AgentNet

TALKER = Path(__file__).with_name("talker.py")
CONTROL, WEB = 9000, 9002
PORTS = {"talk": 9001, "web": WEB}
WITHIN_S = 8.0
LABEL = "nines.test"


class Talker:
    """One pair, spoken to from this machine."""

    def __init__(self, name: str, address: str, agent: AgentLink, system: str) -> None:
        self.name = name
        self.address = address
        self.agent = agent
        self.system = system
        self._connection: socket.socket | None = None

    def tell(self, do: str, **fields: object) -> Any:
        """Have it do something, and what came of it."""
        if self._connection is None:
            self._connection = self._connect()
        self._connection.sendall((json.dumps({"do": do, **fields}) + "\n").encode())
        said = b""
        while not said.endswith(b"\n"):
            data = self._connection.recv(65536)
            assert data, f"{self.name} hung up"
            said += data
        answer = json.loads(said)
        assert "failed" not in answer, f"{self.name}: {do}: {answer['failed']}"
        return answer["said"]

    def _connect(self) -> socket.socket:
        until_s = time.monotonic() + WITHIN_S
        while True:
            try:
                return socket.create_connection((self.address, CONTROL), timeout=WITHIN_S)
            except ConnectionError:
                assert time.monotonic() < until_s, f"{self.name} does not come up"
                time.sleep(0.01)

    def forget(self) -> None:
        """Its process is another one now."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @property
    def table(self) -> str:
        """Our table in its namespace, as the kernel has it."""
        return self.agent.call("nft", commands=[]).table


class Pairs:
    """All of them, and the net over them."""

    def __init__(self, engine: Engine, talkers: dict[str, Talker], net: AgentNet, places: dict[str, str]) -> None:
        self.engine = engine
        self.talkers = talkers
        self.net = net
        self.places = places
        """Name -> address, with ``n1 on back`` for one on a further network."""

    @property
    def addresses(self) -> dict[str, str]:
        """Name -> address."""
        return {name: talker.address for name, talker in self.talkers.items()}

    @property
    def ipv6(self) -> dict[str, str]:
        """Name -> address, where the network has some."""
        inspected = {name: self.engine.client.api.inspect_container(talker.agent.container) for name, talker in self.talkers.items()}
        networks = {name: each["NetworkSettings"]["Networks"] for name, each in inspected.items()}
        return {name: next(iter(each.values()))["GlobalIPv6Address"] for name, each in networks.items()}

    def each(self, do: Callable[[Talker], object], names: Sequence[str] = ()) -> dict[str, Any]:
        """With all of them, or these, at the same time."""
        chosen = list(names) or list(self.talkers)
        with ThreadPoolExecutor(len(chosen)) as pool:
            return dict(zip(chosen, pool.map(lambda name: do(self.talkers[name]), chosen), strict=True))

    def open(self) -> None:
        """Every ordered pair gets its old sockets, anew."""
        self.each(lambda one: one.tell("open", addresses=self._others(one)))

    def speak(self, word: str) -> None:
        """Each says the word to all others by every kind of socket; returns when all attempts have ended."""
        self.each(lambda one: one.tell("speak", word=word, addresses=self._others(one)))

    def _others(self, one: Talker) -> list[str]:
        """Every place on its networks where it does not stand itself."""
        own = [address for place, address in self.places.items() if place.split()[0] == one.name]
        nets = {address.rpartition(".")[0] for address in own}
        return [address for address in self.places.values() if address not in own and address.rpartition(".")[0] in nets]

    def heard(self, word: str) -> set[tuple[str, str, str]]:
        """(kind of socket, from, to) of every time that this word has arrived; from is the place that it came from."""
        names = {address: place for place, address in self.places.items()}
        found = set()
        for to, lines in self.each(lambda one: one.tell("heard")).items():
            for line in lines:
                if line.split()[1:2] == [word]:
                    kind, _, sender = line.split()
                    found.add((kind, names[sender], to))
        return found

    def arrived(self) -> set[tuple[str, str]]:
        """(from, to) of every pair of which any packet has come off the wire since the last time this was asked."""
        names = {address: place for place, address in self.places.items()}
        seen = self.each(lambda one: one.tell("arrived"))
        return {(names[sender], to) for to, counts in seen.items() for sender in counts if sender in names}

    def tables(self) -> dict[str, str]:
        """All tables."""
        return self.each(lambda one: one.table)

    def restart(self, name: str) -> None:
        """Kill the system's process inside, and start its container again; its agent and namespace stay."""
        talker = self.talkers[name]
        talker.agent.call("kill", signal=9)
        talker.forget()
        self.engine.client.api.wait(talker.system, condition="not-running")
        self.engine.client.api.start(talker.system)


@contextlib.contextmanager
def pairs(
    engine: Engine,
    image: str,
    nodes: Sequence[str],
    others: Sequence[str],
    links: Sequence[Link],
    needs: Needs,
    networks: Sequence[str] = ("",),
    ipv6: str = "",
) -> Iterator[Pairs]:
    """Nodes and other ends (``clients``), each with agent and talker, the net joined before the talker starts.

    All stand on the first of the networks, and nodes on all of them; ``ipv6``: the first one's range, if it has one.
    """
    run = f"test-{os.getpid()}-{random.randrange(16**6):06x}"
    clock = MonotonicClock()
    agents: dict[str, AgentLink] = {}
    made = [make_network(engine, f"nines-{run}{each}", {LABEL: run}, random.SystemRandom()) for each in networks]
    if ipv6:
        made[0] = _with_ipv6(engine, *made[0], ipv6)
    (network, subnet), names = made[0], [*nodes, *others]
    standing = [names, *(nodes for _ in networks[1:])]
    on = {
        each: {name: str(its[10 + number]) for number, name in enumerate(there)}
        for each, (_, its), there in zip(networks, made, standing, strict=True)
    }
    addresses, places = on[networks[0]], Addresses(on)
    net = AgentNet(
        run=run, addresses=places, ports=dict.fromkeys(nodes, PORTS), links=links, gateway=str(subnet[1]),
        measure=lambda link, timeout_s: ask(agents[link.source], places.used(link), timeout_s), clock=clock, needs=needs,
    )  # fmt: skip
    api = engine.client.api

    def bring_up(name: str) -> Talker:
        endpoint = {network.name: api.create_endpoint_config(ipv4_address=addresses[name], aliases=[name])}
        agent = api.create_container(
            image, list(AGENT), stdin_open=True, name=f"{run}-{name}-agent", labels={LABEL: run},
            host_config=api.create_host_config(cap_add=["NET_ADMIN"], network_mode=network.name),
            networking_config=api.create_networking_config(endpoint),
        )["Id"]  # fmt: skip
        for each, (further, _) in zip(networks[1:], made[1:], strict=True):
            if name in on[each]:
                api.connect_container_to_network(agent, further.id, ipv4_address=on[each][name])
        link = AgentLink(api, agent, node=name, clock=clock)
        agents[name] = link
        api.start(agent)
        link.hello(WITHIN_S)
        net.join(name, link)
        joined = f"container:{agent}"
        system = api.create_container(
            image, ["python3", "/talker.py", name], name=f"{run}-{name}", labels={LABEL: run},
            host_config=api.create_host_config(network_mode=joined, pid_mode=joined, binds=[f"{TALKER}:/talker.py:ro"]),
        )["Id"]  # fmt: skip
        api.start(system)
        return Talker(name, addresses[name], link, system)

    try:
        with ThreadPoolExecutor(len(names)) as pool:
            talkers = dict(zip(names, pool.map(bring_up, names), strict=True))
        for talker in talkers.values():
            talker.tell("pid")  # it is up
        further = {f"{name} on {each}": address for each in networks[1:] for name, address in on[each].items()}
        yield Pairs(engine, talkers, net, addresses | further)
    finally:
        net.close()
        for link in agents.values():
            link.close()
        left = api.containers(all=True, quiet=True, filters={"label": f"{LABEL}={run}"})
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda container: api.remove_container(container["Id"], force=True, v=True), left))
        for each, _ in made:
            each.remove()


def _with_ipv6(engine: Engine, network: Network, subnet: IPv4Network, ipv6: str) -> tuple[Network, IPv4Network]:
    """In the place of a network, one that has another range as well."""
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet), gateway=str(subnet[1])), IPAMPool(subnet=ipv6)])
    labels, name = network.attrs["Labels"], network.name
    network.remove()
    return engine.client.networks.create(name, driver="bridge", ipam=ipam, labels=labels, enable_ipv6=True), subnet


def ask(agent: AgentLink, address: str, timeout_s: float) -> RoundTrip:
    """From inside a namespace to a talker's web port."""
    answer: asking.Answer = agent.ask(Ask(http=f"http://{address}:{WEB}/"), timeout_s)
    return RoundTrip(answer.rtt_s, answer.error if answer.rtt_s is None else None)
