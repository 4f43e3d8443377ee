"""Bringing up one node: a pair of containers, with its rules in place before the system's first packet.

    agent created -> attached -> started -> says hello -> joins the net's rules -> system created, files put in -> started

All nodes go this way at the same time; the engine is what takes the time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from chaos.agent.agent_parts import clock
from chaos.core.clock import Clock
from chaos.core.errors import CapabilityMissing, EnvironmentUnusable
from chaos.core.values import DNS, Allowed, NodeInfo
from chaos.engine.errors import translated
from chaos.engine.images.ensure import AGENT
from chaos.engine.images.tools import FAKETIME_THREADS, FOLDER
from chaos.experiment.cluster import Resources
from chaos.experiment.target.templates import fill
from chaos.plugin import Sink
from chaos.runtimes.base.agents.link import AgentLink, Event, mapped_into
from chaos.runtimes.base.agents.node import AgentNode
from chaos.runtimes.base.helper import Breakage
from chaos.runtimes.docker.containers import AGENT as AGENT_ROLE
from chaos.runtimes.docker.containers import NO_SYSTEM, REFUSES_EACH, SYSTEM, Endpoint, Spec
from chaos.runtimes.docker.contents import archive, ids_of, own_folders
from chaos.runtimes.docker.hosts.places import Places
from chaos.runtimes.docker.layout import DATA_INSIDE, ENGINE, DockerLayout
from chaos.runtimes.docker.logs import NodeLog
from chaos.runtimes.docker.pid1 import EngineNode, EngineWatch
from chaos.runtimes.docker.resources import NodeDisks, NodeLoads
from chaos.runtimes.docker.supplies import CLOCK_INSIDE, DISKS_INSIDE, SCRATCH_INSIDE, Supplies, disks_in, volume_of

HELLO_WITHIN_S = 15.0
ENGINE_SEES_DEATH_S = 15.0
CLOCK_BOUND_S = 0.02
"""Containers share our clock; one whose clock cannot be shown to be this near ours is on another machine, or a very busy one."""
CLOCK_TRIES = 20
POWER_OFF = "power off"
"""Of what a node is noted to have died whose host went dark."""


class Interposer(Protocol):
    """What puts rules into a namespace; told of each agent before the first packet of the system that joins it."""

    def join(self, source: str, agent: AgentLink) -> None:
        """``source``: a node, ``clients`` or ``dns``."""
        ...

    def lost(self, source: str, agent: AgentLink) -> None:
        """The namespace in which this agent stood is no more."""
        ...


class Pairs:
    """All agents and systems of one run."""

    def __init__(
        self,
        places: Places,
        layout: DockerLayout,
        networks: Sequence[str],
        harness_image: str,
        images: Mapping[str, str],
        net: Interposer,
        resources: Resources,
        restarts: bool,
        supplies: Supplies,
        logs: Path,
        breakage: Breakage,
        sink: Sink,
        clock: Clock,
    ) -> None:
        self._places = places
        self._run = places.first.run
        self._layout = layout
        self._networks = networks
        self._harness_image = harness_image
        self._images = images
        self._net = net
        self._resources = resources
        self._restarts = restarts
        self._supplies = supplies
        self._logs_folder = logs
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._watch: EngineWatch | None = None
        self.agents: dict[str, AgentLink] = {}
        self.nodes = {name: self._node(info) for name, info in layout.nodes.items()}
        self.systems: dict[str, str] = {}
        """Node -> id of its system's container."""
        self.logs: dict[str, NodeLog] = {}
        self._ran: set[str] = set()
        """Containers of systems that have been started before."""

    def agent(self, name: str, on_event: Callable[[Event], None] | None = None) -> AgentLink:
        """An agent that owns the place of a node, of the clients or of the name server on the network; running."""
        aliases: tuple[str, ...] = ()
        if name in self._layout.nodes:
            part = self._layout.nodes[name].part
            aliases = (name, part, self._layout.name_of(part)) if self._layout.balancer == ENGINE else (name,)
        own_dns = self._layout.serves_names and name != DNS
        spec = Spec(
            name=f"nines-{self._run}-{name}-agent",
            node=name,
            role=AGENT_ROLE,
            image=self._harness_image,
            command=AGENT,
            endpoint=Endpoint(
                self._networks[0], self._layout.real_address(name), aliases, (self._layout.dns_address,) if own_dns else ()
            ),
            further=self._further(name),
            hostname=name,
            capabilities=("NET_ADMIN", *self._supplies.capabilities),
            may_mount=self._supplies.remounts,
            volumes={**disks_in(DISKS_INSIDE, self._disks(name)), **self._scratch(name), **self._clock_of(name, "")},
            sizes=self._sizes(name),
            talks=True,
            protected=True,
            measures=True,
            sysctls=REFUSES_EACH if name == DNS else {},
            env={} if name in self._layout.nodes and not self._layout.pid1 else NO_SYSTEM,
        )  # fmt: skip
        return self._stand(name, self._places.of(name).create(spec), on_event)

    def _stand(self, name: str, container: str, on_event: Callable[[Event], None] | None = None) -> AgentLink:
        """Started, heard of, its clock known, the rules of the net in its namespace."""
        on = self._places.of(name)

        def told(link: AgentLink, event: Event) -> None:
            self._note(link, event)
            if on_event is not None:
                on_event(event)

        link = AgentLink(
            on.api, container, node=name, clock=self._clock, on_event=told, on_gone=self._agent_gone,
            on_clock=mapped_into(self._sink, self._clock),
        )  # fmt: skip
        with self._lock:
            self.agents[name] = link
        on.start(container, f"nines-{self._run}-{name}-agent")
        link.hello(HELLO_WITHIN_S)
        bound_s = math.inf
        for _ in range(CLOCK_TRIES):
            # With many nodes coming up at once, each exchange may wait for a core; one quick one among them is enough.
            if bound_s > CLOCK_BOUND_S:
                bound_s = link.exchange_clocks()
        if bound_s > CLOCK_BOUND_S:
            raise EnvironmentUnusable(
                f"the clock of {name}'s container is known to {bound_s * 1e3:.1f} ms only: a slow way there, or a very busy machine",
                how="fewer programs beside the run, or an engine that is nearer",
            )
        self._net.join(name, link)
        return link

    # --- a host that goes dark, and comes back -----------------------------------------------------------------------------

    def expect_end(self, name: str) -> None:
        """The machine that this node stands on is about to go: the end of its agent is then no surprise."""
        self.nodes[name].doom(POWER_OFF)
        self.agents[name].closing = True

    def stays(self, name: str) -> bool:
        """The machine did not go after all; whether the agent there can still be spoken to."""
        self.nodes[name].doom("")
        if self.agents[name].gone:
            return False
        self.agents[name].closing = False
        return True

    def went_dark(self, name: str, at_ns: int) -> None:
        """It has been silent since then: whoever stands there is dead."""
        node = self.nodes[name]
        assert isinstance(node, AgentNode), "of others nobody here switches hosts"
        self.agents[name].close()
        node.went_dark(at_ns)

    def agent_again(self, name: str) -> None:
        """The same container, in a namespace that is new: as when it came up, with what is in force now; its system stays dead."""
        before, node = self.agents[name], self.nodes[name]
        before.closing = True
        before.close()
        self._net.lost(name, before)
        link = self._stand(name, before.container, node.seen)
        self._prepare_clock(link)
        system = self.systems[name]
        log = self.logs[name] = self.logs[name].again()
        node.joined(link, system, log)
        node.doom("")
        self._equip(node, system, link)

    def _prepare_clock(self, link: AgentLink) -> None:
        if self._supplies.clocks:
            link.call("clock.prepare", library=FAKETIME_THREADS, folder=CLOCK_INSIDE, waits=not self._supplies.skews)

    def _node(self, info: NodeInfo) -> AgentNode | EngineNode:
        start, anew = partial(self._start_system, info.name), partial(self._anew, info.name)
        if self._layout.pid1:
            return EngineNode(info, self._places.of(info.name).api, start, anew, self._sink, self._clock)
        return AgentNode(info, start, partial(self._how_ended, info.name), anew, self._sink, self._clock)

    def watch(self) -> None:
        """For nodes whose processes no agent sees: hear of their deaths from the engine."""
        engine_nodes = {name: node for name, node in self.nodes.items() if isinstance(node, EngineNode)}
        if engine_nodes:
            self._watch = EngineWatch(self._places.first.api, self._run, engine_nodes, self._breakage)

    def close(self) -> None:
        """Detach from everything."""
        if self._watch is not None:
            self._watch.close()
        for link in self.agents.values():
            link.close()

    def _further(self, name: str) -> tuple[Endpoint, ...]:
        """Clients and name server stand on the first network only."""
        if name not in self._layout.nodes:
            return ()
        addresses = list(self._layout.nodes[name].networks.values())
        return tuple(Endpoint(network, address) for network, address in zip(self._networks[1:], addresses[1:], strict=True))

    def bring_up(self, info: NodeInfo, *, starts: bool = True) -> None:
        """The whole pair; when this returns its process runs, unless it starts after others."""
        name, node = info.name, self.nodes[info.name]
        link = self.agent(name, node.seen)
        self._prepare_clock(link)
        self._make_system(name, link)
        if starts:
            node.start()

    def _make_system(self, name: str, link: AgentLink) -> None:
        system = self._create_system(name, link)
        log = NodeLog(self._places.of(name).api, system, self._logs_folder / f"{name}.log", self._clock)
        with self._lock:
            self.systems[name], self.logs[name] = system, log
        node = self.nodes[name]
        node.joined(link, system, log)
        self._equip(node, system, link)

    def _equip(self, node: AgentNode | EngineNode, system: str, link: AgentLink) -> None:
        """With what the faults on resources need; a node that has none of it cannot be harmed in that way."""
        name, limits = node.info.name, self._resources
        if self._disks(name):
            folders = list(disks_in(DISKS_INSIDE, self._disks(name)).values())
            node.disks = NodeDisks(name, link, folders, node.doom)
        if self._supplies.tools and isinstance(node, AgentNode):
            allowed = Allowed(limits.cpus, limits.memory_bytes, limits.disk_bytes)
            node.loads = NodeLoads(
                name, self._places.of(name).api, system, link, allowed, node.status, node.doom, node.last_death_ns, self._clock
            )

    def _anew(self, name: str) -> None:
        """The namespaces stay, since they are the agent's: what comes back has the same address, and nothing else."""
        api, system = self._places.of(name).api, self.systems[name]
        with translated(f"removing {name} and its data"):
            api.wait(system, timeout=ENGINE_SEES_DEATH_S, condition="not-running")
            self.logs[name].finish()
            # What the agent or other nodes use as well cannot go; a disk that the agent holds is emptied instead.
            kept = {volume_of(self._run), *self._scratch(name), *self._disks(name), *self._clock_of(name)}
            volumes = [mount["Name"] for mount in api.inspect_container(system)["Mounts"] if mount["Type"] == "volume"]
            api.remove_container(system, force=True, v=True)
            for volume in set(volumes) - kept:
                api.remove_volume(volume, force=True)
        if self._disks(name):
            self.agents[name].call("disks.empty", folders=list(disks_in(DISKS_INSIDE, self._disks(name)).values()))
        self._make_system(name, self.agents[name])

    def _create_system(self, name: str, link: AgentLink) -> str:
        part, context = self._layout.part(name), self._layout.context(name)
        folders = part.data or (DATA_INSIDE,)
        run = self._run
        spec = Spec(
            name=f"nines-{run}-{name}",
            node=name,
            role=SYSTEM,
            image=self._images[self._layout.nodes[name].part],
            command=self._layout.command(name),
            joins=link.container,
            shares_pids=not self._layout.pid1,
            env={
                "PYTHONUNBUFFERED": "1",
                **{key: fill(value, context) for key, value in part.env.items()},
                **(clock.environment(CLOCK_INSIDE) if self._supplies.clocks else {}),
            },
            volumes={
                **{f"nines-{run}-{name}-{number}": folder for number, folder in enumerate(folders)},
                **self._scratch(name),
                **self._clock_of(name),
                **({volume_of(run): f"{FOLDER}:ro"} if self._supplies.tools else {}),
            },
            sizes=self._sizes(name),
            user=part.user,
            restart=self._restarts,
            cpus=self._resources.cpus,
            memory_bytes=self._resources.memory_bytes,
            keeps_log=True,
        )
        on = self._places.of(name)
        container = on.create(spec)
        files = {relative: fill(template, context) for relative, template in part.files.items()}
        owner = ids_of(on.api, container, part.user) if part.user else (0, 0)
        if part.user:
            own_folders(on.api, container, folders, owner)
        if files:
            with translated(f"putting files into {spec.name}"):
                on.api.put_archive(container, folders[0], archive(files, owner))
        return container

    def _disks(self, name: str) -> tuple[str, ...]:
        """The volumes of a node's data folders, where they are disks of limited size."""
        if self._supplies.disk_bytes is None or name not in self._layout.nodes:
            return ()
        folders = self._layout.part(name).data or (DATA_INSIDE,)
        return tuple(f"nines-{self._run}-{name}-{number}" for number in range(len(folders)))

    def _sizes(self, name: str) -> dict[str, int]:
        size_bytes = self._supplies.disk_bytes
        return {} if size_bytes is None else dict.fromkeys(self._disks(name), size_bytes)

    def _scratch(self, name: str) -> dict[str, str]:
        if not self._supplies.scratch or name not in self._layout.nodes:
            return {}
        return {f"nines-{self._run}-{name}-scratch": SCRATCH_INSIDE}

    def _clock_of(self, name: str, mode: str = ":ro") -> dict[str, str]:
        """The folder of a node's own wall clock, which only its agent writes; with the library that the agent makes its copy of."""
        if not self._supplies.clocks or name not in self._layout.nodes:
            return {}
        own = {f"nines-{self._run}-{name}-clock": f"{CLOCK_INSIDE}{mode}"}
        return own if mode else {**own, volume_of(self._run): f"{FOLDER}:ro"}

    def refuse_unable_clocks(self) -> None:
        """``CapabilityMissing`` if the clock of a node is not ours to set; asked when they run, and before any fault."""
        for name in self.nodes:
            why = self.agents[name].call("clock.check").result["unable"]
            if why:
                how = "leave out the fault 'clock', or use another target"
                raise CapabilityMissing(f"the clock of {name} cannot be set: {why}", how=how)

    def _start_system(self, name: str) -> None:
        system, api = self.systems[name], self._places.of(name).api
        with translated(f"starting {name}"):
            if system in self._ran:
                # The engine sees a death later than the agent does, and does not start what it believes to run.
                api.wait(system, timeout=ENGINE_SEES_DEATH_S, condition="not-running")
            self._ran.add(system)
            api.start(system)

    def _note(self, link: AgentLink, event: Event) -> None:
        """A part of ours that died, or an agent that believed us dead: the run is unknown from then on."""
        if link.closing:
            return
        if event.event == "child_died":
            self._breakage.note(f"{event.child} of {link.node} ended (status {event.status})")
        elif event.event == "orphaned":
            problems = f" ({'; '.join(event.problems)})" if event.problems else ""
            self._breakage.note(f"the agent of {link.node} did not hear of us for long and healed its namespace by itself{problems}")

    def _how_ended(self, name: str) -> str:
        with translated(f"asking for the state of {name}"):
            state = self._places.of(name).api.inspect_container(self.systems[name])["State"]
        return "" if state["Running"] else f"exit status {state['ExitCode']}"

    def last_words(self, name: str) -> str:
        """How a node ended at its start; its log is whole afterwards."""
        self.logs[name].finish()
        how = self._how_ended(name)
        return f" ({how})" if how else ""

    def _agent_gone(self, link: AgentLink, why: str) -> None:
        self._breakage.note(f"the agent of {link.node}: {why}")
