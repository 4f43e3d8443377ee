"""A run on containers that were there before it: found by label, measured and harmed by guests, given back as they were.

    find -> their network -> the clients' place -> a guest into each -> (as every session) ... -> give back

Nothing is built, started, limited or configured: what is not known of a system from its outside cannot be done to it here.
"""

from __future__ import annotations

import time
from typing import Any

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable, NinesError
from chaos.core.values import CLIENTS, NodeInfo, Status
from chaos.engine import leftovers as leftovers_docker
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.engine.images.ensure import ensure_clients, ensure_harness
from chaos.engine.images.foreign import used
from chaos.engine.packet_rules import require_packet_rules
from chaos.engine.queues import require_queues
from chaos.history.events import SystemSeen
from chaos.net.needs import needs
from chaos.plan.attached import client_name
from chaos.plan.capabilities import needed
from chaos.plan.traits import made
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.agents.asker import AttachedAsker
from chaos.runtimes.base.agents.attached.bound import bound
from chaos.runtimes.base.agents.attached.session import AttachedSession
from chaos.runtimes.base.agents.crowds import AgentCrowds
from chaos.runtimes.base.agents.naming import await_name
from chaos.runtimes.base.agents.wiring import make_net
from chaos.runtimes.base.helpers import Helpers
from chaos.runtimes.base.libraries import libraries
from chaos.runtimes.base.session import Parts
from chaos.runtimes.base.surges import Surges
from chaos.runtimes.docker.attach.find import address_on, choose, ground, look_up, write_keys
from chaos.runtimes.docker.attach.give_back import give_back
from chaos.runtimes.docker.attach.guests import Guests
from chaos.runtimes.docker.attach.layout import AttachedLayout
from chaos.runtimes.docker.containers import Containers
from chaos.runtimes.docker.helpers import ContainerHelpers

ALIAS = "the containers need that name on their network (--network-alias, or a compose service), and listen there"
LOG_LINES = 100_000


class ContainerSession(AttachedSession):
    """One run's guests, its clients, and the word that all of it is given back."""

    def __init__(self, deployment: Deployment, engine: Engine, claim: Claim, sink: Sink, clock: Clock, *, traffic: bool) -> None:
        super().__init__(deployment, claim, sink, clock)
        self._engine = engine
        self._containers = Containers(engine, deployment.run, leftovers_docker.labels(claim))
        self._name = client_name(deployment.plan.experiment) if traffic else ""
        """What clients resolve; empty where they know addresses, and where no traffic is sent."""
        self._traffic = traffic
        self._began_s = time.time()
        self._image = ""
        self._layout: AttachedLayout
        self._guests: Guests | None = None
        self._helpers: ContainerHelpers | None = None

    # --- start ---------------------------------------------------------------------------------------------------------

    def _bring_up(self) -> Parts:
        """Nothing of the system has changed by then."""
        deployment, api, name = self._deployment, self._containers.api, self._name
        self._keys = choose(api, self._attach, deployment.plan.nodes)
        found = self._inspected()
        self._sink(SystemSeen(at_ns=self._clock.now_ns(), images={node: str(each["Image"]) for node, each in found.items()}))
        common = ground(api, self._attach, list(found.values()))
        policy = self._policy(found)
        if not self._traffic and Capability.SURGES in needed(deployment.plan):
            raise CapabilityMissing("by hand no traffic is sent, so there can be no more of it", how="an experiment that attaches to them")
        if name and not common.has_names:
            how = "put them on a network of their own (docker network create), where Docker answers names"
            raise CapabilityMissing(f"on the network '{common.name}' nobody answers the name '{name}'", how=how)
        image = self._image = ensure_harness(self._engine)
        clients_image = ensure_clients(
            self._engine, image, libraries(deployment.target, deployment.plan), plugins=used(deployment.plan, ("probes",))
        )
        require_packet_rules(self._engine, image)
        require_queues(self._engine, image, needs(deployment).queues)
        write_keys(self._folder, self._keys)
        self._claim.begins()
        addresses = {node: address_on(each, common.name) for node, each in found.items()}
        layout = self._layout = AttachedLayout(deployment, common, addresses, name)
        guests = self._guests = Guests(self._containers, self._keys, common, image, policy, self._breakage, self._sink, self._clock)
        layout.place_clients(guests.bring_clients())
        clients = self._clients
        net = make_net(deployment, layout, self._measure, needs(deployment), self._clock, late=True)
        self._closing.callback(net.close)
        self._tell_nodes({key.node: key.container for key in self._keys})
        guests.bring_in(layout.nodes, found, net, self._move)
        self._net = net
        asker = AttachedAsker(layout, deployment.target.roles, self._clock, guests.nodes)
        self._closing.callback(asker.close)
        helpers = self._helpers = ContainerHelpers(
            deployment, layout, self._containers, common.name, (image, clients_image), self._claim, self._breakage, self._sink, self._clock
        )
        self._closing.callback(helpers.close)
        helpers.owners[CLIENTS] = clients.container
        return Parts(layout, guests.nodes, net, asker, helpers, AgentCrowds(layout, lambda: clients).crowd)

    def _move(self, node: str, address: str) -> NodeInfo:
        """The node came back at another address; ``CapabilityMissing`` where something of the run keeps to the old one."""
        found = bound(self._deployment.plan, needs(self._deployment), named=bool(self._name), traffic=self._traffic)
        if found is not None:
            raise CapabilityMissing(found[0], how=f"{found[1]}; or an address of its own for its container (--ip, ipv4_address)")
        info = self._layout.moved_to(node, address)
        if self._helpers is not None:
            self._helpers.moved(node)
        return info

    def _serve_names(self, helpers: Helpers) -> None:
        """Somebody else does."""
        if self._name:
            called = {key.node: key.container for key in self._keys}
            await_name(self._name, self._clients, self._layout, self._deployment, called, self._clock, ALIAS)
        if self._traffic:
            helpers.warm_prober()

    def _surges(self, helpers: Helpers) -> Surges | None:
        return helpers.surges() if self._traffic else None

    def _inspected(self) -> dict[str, dict[str, Any]]:
        found = {}
        for key in self._keys:
            each = look_up(self._containers.api, key)
            if each is None or not each["State"]["Running"] or each["State"]["Paused"]:
                raise EnvironmentUnusable(f"{key} does not run", how="a measurement begins with a whole system: start it, or unpause it")
            found[key.node] = each
        return found

    def _policy(self, found: dict[str, dict[str, Any]]) -> bool:
        """Whether kills are for their own restart policies to mend; those must then be there."""
        ways = {made(spec).revival for spec in self._deployment.plan.experiment.faults} - {""}
        if "policy" not in ways:
            return False
        if len(ways) > 1:
            raise BadInput("kills with 'recovery: policy' and others in one experiment", right="one of them")
        for node, each in found.items():
            if each["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"):
                how = "docker update --restart always ..., or 'recovery: restart'"
                raise CapabilityMissing(f"{each['Name'].lstrip('/')} ({node}) has no restart policy that could act", how=how)
        return True

    # --- end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> list[str]:
        """Take ourselves away and prove it; start again what we left dead. What is not as it was."""
        guests, helpers = self._guests, self._helpers
        if helpers is not None:
            helpers.end_input()
        problems: list[str] = []
        if guests is not None:
            guests.stop_following()
            problems = self._give_back(guests)
            self._keep_logs()
        if helpers is not None:
            helpers.wait_ended()
            helpers.end_processes()
        if guests is not None:
            guests.close()
        left = leftovers_docker.remove(self._containers.api, self._deployment.run)
        return problems + [f"{kind} {name} ({reason})" for kind, name, reason in left]

    def _give_back(self, guests: Guests) -> list[str]:
        """By the guests that are there; where one cannot, by a fresh one."""
        again = []
        dead = set()
        for key in self._keys:
            found = look_up(self._containers.api, key)
            if found is not None and not found["State"]["Running"]:
                dead.add(key.node)
            if found is None:
                continue
            try:
                clean = key.node in guests.nodes and key.node not in dead and not guests.leave(key.node)
            except NinesError:
                clean = False
            if not clean and key.node in guests.nodes:
                again.append(key)
        problems = give_back(self._containers, again, self._image, frozenset(dead), self._clock)
        return problems + [problem for key in self._keys if (problem := self._not_as_it_was(key.node, guests))]

    def _not_as_it_was(self, node: str, guests: Guests) -> str:
        key = next(key for key in self._keys if key.node == node)
        found = look_up(self._containers.api, key)
        if found is None or node not in guests.nodes:
            return ""  # somebody else took it away: nothing of ours can be left there
        state = found["State"]
        if not state["Running"]:
            return f"{key} does not run"
        if guests.nodes[node].container == found["Id"] and guests.nodes[node].status() is Status.PAUSED:
            return f"{key} is frozen"
        return ""

    def _keep_logs(self) -> None:
        """What they said during the run; an engine that keeps no logs of them gives none."""
        from docker.errors import APIError

        for key in self._keys:
            found = look_up(self._containers.api, key)
            if found is None:
                continue
            try:
                with translated(f"reading the log of {key}"):
                    said: bytes = self._containers.api.logs(found["Id"], since=int(self._began_s), tail=LOG_LINES)
            except (APIError, EnvironmentUnusable):
                continue
            self._log_of(key.node).write_bytes(said)
