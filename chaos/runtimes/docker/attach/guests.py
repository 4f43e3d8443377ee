"""A guest in each container that we attached to, in its present life and in every one that follows.

    start event of the engine -> who is it, where is it now -> a new guest joins -> the rules in force join too -> the old guest goes

The system's death does not take its guest along (it only looks in from outside), so what happens to its processes is told without
a gap; only the network is new after a restart, and needs a guest that was born into it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, NinesError
from chaos.core.values import CLIENTS, NodeInfo
from chaos.engine.errors import translated
from chaos.engine.images.ensure import AGENT as AGENT_COMMAND
from chaos.plugin import Sink
from chaos.runtimes.base.agents.attached.guests import GuestsBase, Rejoined, heard
from chaos.runtimes.base.agents.link import AgentLink, mapped_into
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.base.layout import at_place
from chaos.runtimes.docker.attach.find import Ground, Key, address_on, look_up
from chaos.runtimes.docker.attach.give_back import guest_spec
from chaos.runtimes.docker.attach.node import AttachedNode
from chaos.runtimes.docker.containers import AGENT, NO_SYSTEM, Containers, Endpoint, Spec
from chaos.runtimes.docker.pairs import CLOCK_BOUND_S, ENGINE_SEES_DEATH_S, HELLO_WITHIN_S

OLD_GUEST_STAYS_S = 1.0
"""Questions to it may be under way when the new one takes over."""


class Guests(GuestsBase):
    """All guests of one run, and its nodes. ``net`` is told of each; it may be set once the clients' address is known."""

    def __init__(
        self,
        containers: Containers,
        keys: Sequence[Key],
        ground: Ground,
        image: str,
        policy: bool,
        breakage: Breakage,
        sink: Sink,
        clock: Clock,
    ) -> None:
        super().__init__(breakage, sink, clock)
        self._containers = containers
        self._keys = {key.node: key for key in keys}
        self._ground = ground
        self._image = image
        self._policy = policy
        self._numbers = itertools.count(1)
        self._stream: Any = None
        self._move: Callable[[str, str], NodeInfo] | None = None
        self.nodes: dict[str, AttachedNode] = {}

    @property
    def looked_after(self) -> Mapping[str, AttachedNode]:
        """The nodes, by name."""
        return self.nodes

    def bring_clients(self) -> str:
        """A place of our own on their network, for the traffic; its address."""
        name = f"nines-{self._containers.run}-{CLIENTS}-agent"
        spec = Spec(
            name=name, node=CLIENTS, role=AGENT, image=self._image, command=AGENT_COMMAND, endpoint=Endpoint(self._ground.name, ""),
            env=NO_SYSTEM, hostname=CLIENTS, capabilities=("NET_ADMIN",), talks=True, protected=True, measures=True,
        )  # fmt: skip
        self.clients = self._agent(CLIENTS, spec)
        with translated("asking where the clients are"):
            return address_on(self._containers.api.inspect_container(self.clients.container), self._ground.name)

    def bring_in(
        self, infos: Mapping[str, NodeInfo], found: Mapping[str, dict[str, Any]], net: Rejoined, move: Callable[[str, str], NodeInfo]
    ) -> None:  # fmt: skip
        """A guest into each of them, all at once, and into each life to come; of one at another address ``move`` is told first."""
        self._net, self._move = net, move
        assert self.clients is not None
        net.join(CLIENTS, self.clients)
        for name, info in infos.items():
            start, ended = partial(self._start, name), partial(self._how_ended, name)
            self.nodes[name] = AttachedNode(info, self._containers.api, start, ended, self._policy, self._sink, self._clock)
        self._listen()
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="guests") as pool:
            entered = {name: pool.submit(self._enter, name, found[name]) for name in infos}
            links = {name: each.result() for name, each in entered.items()}  # before anything is done to any of them
            for each in [pool.submit(self._join, name, found[name], links[name]) for name in infos]:
                each.result()

    def _enter(self, name: str, inspected: dict[str, Any]) -> AgentLink:
        spec = guest_spec(self._containers.run, name, next(self._numbers), self._image, str(inspected["Id"]))
        link = self._agent(name, spec, self.nodes[name])
        link.call("status")  # by its answer we have heard of the main process, if there is one
        assert self._net is not None
        try:
            self._net.check(name, link)
        except CapabilityMissing as error:
            raise CapabilityMissing(f"the container {self._keys[name]}: {error.what}", how=error.how) from error
        return link

    def _join(self, name: str, inspected: dict[str, Any], link: AgentLink) -> None:
        container, node = str(inspected["Id"]), self.nodes[name]
        assert self._net is not None
        try:
            self._net.join(name, link)
        except NinesError:
            self._withdraw(link)
            raise
        comes_back = inspected["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no")
        before = node.host(container, link, comes_back=comes_back)
        node.labelled(inspected["Config"]["Labels"] or {})
        if before is not None:
            self._closing.wait(OLD_GUEST_STAYS_S)
            self._send_away(before)

    def _agent(self, name: str, spec: Spec, node: AttachedNode | None = None) -> AgentLink:
        container = self._containers.create(spec)

        told = self._teller(name, node, partial(self._lose, name))
        link = AgentLink(
            self._containers.api, container, node=name, clock=self._clock, on_event=told, on_gone=self._gone,
            on_clock=mapped_into(self._sink, self._clock),
        )  # fmt: skip
        self._containers.start(container, spec.name)
        return heard(link, HELLO_WITHIN_S, CLOCK_BOUND_S, f"{name}'s container", "an engine that is nearer")

    def _lose(self, name: str, link: AgentLink) -> None:
        if self._net is not None:
            self._net.lost(name, link)

    def _send_away(self, link: AgentLink) -> None:
        super()._send_away(link)
        with translated("removing a guest of a life that is over"):
            self._containers.api.remove_container(link.container, force=True, v=True)

    # --- what the engine does ------------------------------------------------------------------------------------------

    def _start(self, name: str) -> None:
        api, container = self._containers.api, self.nodes[name].container
        with translated(f"starting {self._keys[name]}"):
            api.wait(container, timeout=ENGINE_SEES_DEATH_S, condition="not-running")
            api.start(container)

    def _how_ended(self, name: str) -> str:
        found = look_up(self._containers.api, self._keys[name])
        if found is None:
            return "its container is gone"
        return "" if found["State"]["Running"] else f"exit status {found['State']['ExitCode']}"

    def _listen(self) -> None:
        with translated("listening to the events of the Docker engine"):
            self._stream = self._containers.api.events(decode=True, filters={"type": "container", "event": "start"})
        self._thread = threading.Thread(target=self._hear, name="engine events", daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        why = "it ended"
        try:
            self._take(self._stream)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        if not self._closing.is_set():
            self._breakage.note(f"the engine's stream of events: {why}")

    def _take(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            for name, key in self._keys.items():
                if key.is_of(event["Actor"]["Attributes"]) and not self._closing.is_set():
                    self._worker.submit(self._join_again, name)

    def _join_again(self, name: str) -> None:
        try:
            found = look_up(self._containers.api, self._keys[name])
            if self._closing.is_set() or found is None or not found["State"]["Running"]:
                return  # it is gone already; the next start will be heard as well
            before, address = self.nodes[name].info.address, address_on(found, self._ground.name)
            if address == before:
                self._join(name, found, self._enter(name, found))
            elif self._follows(name, address):
                self._join(name, found, self._enter(name, found))
                self._sink(at_place(self.nodes[name].info, str(found["Name"]).lstrip("/"), self._clock))
        except NinesError as error:
            again = look_up(self._containers.api, self._keys[name])
            if again is not None and again["State"]["Running"] and not self._closing.is_set():
                self._breakage.note(f"no guest could join {name} again: {error}")

    def _follows(self, name: str, address: str) -> bool:
        """Whether all are told that it is at another address by now; where that cannot be, the run is over."""
        assert self._move is not None
        node = self.nodes[name]
        where = f"{name} came back at {address or 'no address'}, not at {node.info.address}"
        if not address:
            self._breakage.note(f"{where}: it left the network {self._ground.name}")
            return False
        try:
            node.moved(self._move(name, address))
        except CapabilityMissing as error:
            self._breakage.note(f"{where}: {error.what}; {error.how}")
            return False
        return True

    # --- the end -------------------------------------------------------------------------------------------------------

    def _stop_hearing(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def leave(self, name: str) -> str:
        """What could not be taken back is left to a fresh one: this one is sent away then."""
        left, guest = super().leave(name), self.nodes[name].guest
        if left and guest is not None:
            self._send_away(guest)
        return left
