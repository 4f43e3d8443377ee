"""The hosts of one run: images on all of them, one network over them, and what happens when one goes dark and comes back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from chaos.core.errors import NotHealed
from chaos.engine import networks
from chaos.engine.connection import Engine
from chaos.experiment.hosts import HostSpec
from chaos.plugin import Deployment
from chaos.runtimes.base.machines.errands import Errands
from chaos.runtimes.base.machines.orders import AtHome, Switch, Terms
from chaos.runtimes.docker.hosts.engines import addresses, copy_images
from chaos.runtimes.docker.hosts.places import Places
from chaos.runtimes.docker.hosts.power import Power
from chaos.runtimes.docker.hosts.tie import MTU, Tie, refuse_unheard
from chaos.runtimes.docker.layout import gateway_of
from chaos.runtimes.docker.pairs import Pairs

LOG: Final = "hosts.log"
"""What the laying of the network said, among the logs of the run."""


class Hosts:
    """``at_home``: who switches hosts; None: this machine, by a keeper."""

    def __init__(
        self, deployment: Deployment, engines: Mapping[str, Engine], places: Places, log: Path, at_home: AtHome | None = None
    ) -> None:  # fmt: skip
        self._deployment = deployment
        self._specs = deployment.plan.experiment.cluster.hosts
        self._engines = engines
        self._places = places
        self._log = log
        self._addresses = addresses(self._specs)
        self._ties: dict[str, Tie] = {}
        self._power: Power | None = None
        self._errands = Errands(terms_of(deployment.run, deployment.folder, self._specs))
        self._at_home = at_home or self._errands.at_home

    def provide_images(self, harness: str, images: Mapping[str, str], tools: str) -> None:
        """Each host has what its nodes need, as the first one has it."""
        first, *others = self._engines
        parts = {node.name: node.part for node in self._deployment.plan.nodes}
        wanted = [
            (self._engines[host], {harness, *([tools] if tools else []), *(images[parts[node]] for node in self._places.nodes(host))})
            for host in others
        ]
        copy_images(self._engines[first], wanted)

    def tie(self, names: Sequence[str], labels: Mapping[str, str], image: str, pick: random.Random) -> tuple[IPv4Network, ...]:
        """The run's networks on every host, tied together; their subnets, which no engine has used before."""
        first, *others = self._engines
        taken = [subnet for host in others for subnet in networks.subnets(self._engines[host])]
        subnets = []
        for name in names:
            subnets.append(networks.make_network(self._engines[first], name, labels, pick, taken=taken, mtu=MTU)[1])
            for place, host in enumerate(others, start=1):
                networks.make_twin(self._engines[host], name, labels, subnets[-1], gateway_of(subnets[-1], place), MTU)
        self._ties = {
            host: Tie(host, self._places.on[host], image, names, subnets, self._addresses, self._log) for host in self._engines
        }  # fmt: skip
        with ThreadPoolExecutor(max_workers=len(self._ties), thread_name_prefix="tie") as workers:
            for each in [workers.submit(tie.lay) for tie in self._ties.values()]:
                each.result()
        refuse_unheard(self._ties, {host: gateway_of(subnets[0], place) for place, host in enumerate(self._engines)}, self._addresses)
        return tuple(subnets)

    def power(self, pairs: Pairs) -> Power:
        """Switches, for faults."""

        def again(host: str) -> None:
            self._places.on[host].api.close()  # connections that its engine knows nothing of any more
            if self._ties[host].stands():
                spoken_to = [pairs.stays(node) for node in self._places.nodes(host)]
                if not all(spoken_to):
                    raise NotHealed(f"host '{host}' was silent while its containers ran on: its command must take its power away")
                return
            self._ties[host].lay()
            with ThreadPoolExecutor(max_workers=16, thread_name_prefix="agents") as workers:
                for each in [workers.submit(pairs.agent_again, node) for node in self._places.nodes(host)]:
                    each.result()

        def expect(host: str) -> None:
            for node in self._places.nodes(host):
                pairs.expect_end(node)

        def dark(host: str, at_ns: int) -> None:
            for node in self._places.nodes(host):
                pairs.went_dark(node, at_ns)

        self._power = Power(self._specs, expect, dark, again, self._at_home)
        return self._power

    def all_on(self) -> list[str]:
        """At the end of a run; what could not be switched on."""
        problems = [] if self._power is None else self._power.all_on()
        owed = self._errands.close()
        return [*problems, *([owed] if owed else [])]


def terms_of(run: str, folder: Path, specs: Mapping[str, HostSpec]) -> Terms:
    """What a keeper needs to know of these hosts; ``folder`` is the run's, here."""
    power = {host: Switch(each.power_off, each.power_on) for host, each in specs.items() if each.power_off}
    return Terms(run, str(folder.absolute()), power=power)
