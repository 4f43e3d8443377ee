"""Bringing up one node: a pair of containers, with its rules in place before the system's first packet.

    agent created -> attached -> started -> says hello -> joins the net's rules -> system created, files put in -> started

All nodes go this way at the same time; the engine is what takes the time.
"""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

from chaos.agent_link import AgentLink, Event
from chaos.clock import Clock
from chaos.engine_errors import translated
from chaos.errors import EnvironmentUnusable
from chaos.events import NodeUp
from chaos.experiment import Resources
from chaos.images import AGENT
from chaos.kinds import DNS, NodeInfo, Sink
from chaos.runtimes.common_helpers import Breakage
from chaos.runtimes.docker_containers import AGENT as AGENT_ROLE
from chaos.runtimes.docker_containers import SYSTEM, Containers, Endpoint, Spec
from chaos.runtimes.docker_layout import DATA_INSIDE, ENGINE, DockerLayout
from chaos.runtimes.docker_logs import NodeLog
from chaos.runtimes.docker_node import DockerNode
from chaos.runtimes.docker_pid1 import EngineNode, EngineWatch
from chaos.templates import fill

HELLO_WITHIN_S = 15.0
ENGINE_SEES_DEATH_S = 15.0
CLOCK_BOUND_S = 0.02
"""Containers share our clock; one whose clock cannot be shown to be this near ours is on another machine, or a very busy one."""


class Interposer(Protocol):
    """What puts rules into a namespace; told of each agent before the first packet of the system that joins it."""

    def join(self, source: str, agent: AgentLink) -> None:
        """``source``: a node, ``clients`` or ``dns``."""
        ...


class Pairs:
    """All agents and systems of one run."""

    def __init__(
        self,
        containers: Containers,
        layout: DockerLayout,
        network: str,
        harness_image: str,
        images: Mapping[str, str],
        net: Interposer,
        resources: Resources,
        restarts: bool,
        logs: Path,
        breakage: Breakage,
        sink: Sink,
        clock: Clock,
    ) -> None:
        self._containers = containers
        self._layout = layout
        self._network = network
        self._harness_image = harness_image
        self._images = images
        self._net = net
        self._resources = resources
        self._restarts = restarts
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

    def agent(self, name: str, on_event: Callable[[Event], None] | None = None) -> AgentLink:
        """An agent that owns the place of a node, of the clients or of the name server on the network; running."""
        aliases: tuple[str, ...] = ()
        if name in self._layout.nodes:
            part = self._layout.nodes[name].part
            aliases = (name, part, self._layout.name_of(part)) if self._layout.balancer == ENGINE else (name,)
        own_dns = self._layout.balancer != ENGINE and name != DNS
        spec = Spec(
            name=f"nines-{self._containers.run}-{name}-agent",
            node=name,
            role=AGENT_ROLE,
            image=self._harness_image,
            command=AGENT,
            endpoint=Endpoint(
                self._network, self._layout.real_address(name), aliases, (self._layout.dns_address,) if own_dns else ()
            ),
            hostname=name,
            capabilities=("NET_ADMIN",),
            talks=True,
            protected=True,
            measures=True,
        )  # fmt: skip
        container = self._containers.create(spec)

        def told(link: AgentLink, event: Event) -> None:
            self._note(link, event)
            if on_event is not None:
                on_event(event)

        link = AgentLink(self._containers.api, container, node=name, clock=self._clock, on_event=told, on_gone=self._agent_gone)
        with self._lock:
            self.agents[name] = link
        self._containers.start(container, spec.name)
        link.hello(HELLO_WITHIN_S)
        bound_s = link.exchange_clocks()
        if bound_s > CLOCK_BOUND_S:
            raise EnvironmentUnusable(
                f"the clock of {name}'s container may be {bound_s * 1e3:.1f} ms from this machine's, or either is very busy",
                how="use the engine of this machine; a remote one is not supported",
            )
        self._net.join(name, link)
        return link

    def _node(self, info: NodeInfo) -> DockerNode | EngineNode:
        start, anew = partial(self._start_system, info.name), partial(self._anew, info.name)
        if self._layout.pid1:
            return EngineNode(info, self._containers.api, start, anew, self._sink, self._clock)
        return DockerNode(info, start, partial(self._how_ended, info.name), anew, self._sink, self._clock)

    def watch(self) -> None:
        """For nodes whose processes no agent sees: hear of their deaths from the engine."""
        engine_nodes = {name: node for name, node in self.nodes.items() if isinstance(node, EngineNode)}
        if engine_nodes:
            self._watch = EngineWatch(self._containers.api, self._containers.run, engine_nodes, self._breakage)

    def close(self) -> None:
        """Detach from everything."""
        if self._watch is not None:
            self._watch.close()
        for link in self.agents.values():
            link.close()

    def place_all(self) -> None:
        """Tell where every node will be."""
        for name, info in self._layout.nodes.items():
            self._sink(
                NodeUp(
                    at_ns=self._clock.now_ns(), node=name, part=info.part, zone=info.zone, address=info.address, ports=info.ports,
                    client_address=info.address,
                )
            )  # fmt: skip

    def bring_up(self, info: NodeInfo) -> None:
        """The whole pair; when this returns its process runs."""
        name, node = info.name, self.nodes[info.name]
        link = self.agent(name, node.seen)
        self._make_system(name, link)
        node.start()

    def _make_system(self, name: str, link: AgentLink) -> None:
        system = self._create_system(name, link)
        log = NodeLog(self._containers.api, system, self._logs_folder / f"{name}.log", self._clock)
        with self._lock:
            self.systems[name], self.logs[name] = system, log
        self.nodes[name].joined(link, system, log)

    def _anew(self, name: str) -> None:
        """The namespaces stay, since they are the agent's: what comes back has the same address, and nothing else."""
        api, system = self._containers.api, self.systems[name]
        with translated(f"removing {name} and its data"):
            api.wait(system, timeout=ENGINE_SEES_DEATH_S, condition="not-running")
            self.logs[name].finish()
            volumes = [mount["Name"] for mount in api.inspect_container(system)["Mounts"] if mount["Type"] == "volume"]
            api.remove_container(system, force=True, v=True)
            for volume in volumes:
                api.remove_volume(volume, force=True)
        self._make_system(name, self.agents[name])

    def _create_system(self, name: str, link: AgentLink) -> str:
        part, context = self._layout.part(name), self._layout.context(name)
        folders = part.data or (DATA_INSIDE,)
        run = self._containers.run
        spec = Spec(
            name=f"nines-{run}-{name}",
            node=name,
            role=SYSTEM,
            image=self._images[self._layout.nodes[name].part],
            command=self._layout.command(name),
            joins=link.container,
            shares_pids=not self._layout.pid1,
            env={"PYTHONUNBUFFERED": "1", **{key: fill(value, context) for key, value in part.env.items()}},
            volumes={f"nines-{run}-{name}-{number}": folder for number, folder in enumerate(folders)},
            restart=self._restarts,
            cpus=self._resources.cpus,
            memory_bytes=self._resources.memory_bytes,
            keeps_log=True,
        )
        container = self._containers.create(spec)
        files = {relative: fill(template, context) for relative, template in part.files.items()}
        if files:
            with translated(f"putting files into {spec.name}"):
                self._containers.api.put_archive(container, folders[0], archive(files))
        return container

    def _start_system(self, name: str) -> None:
        system = self.systems[name]
        with translated(f"starting {name}"):
            # The engine sees a death later than the agent does, and does not start what it believes to run.
            self._containers.api.wait(system, timeout=ENGINE_SEES_DEATH_S, condition="not-running")
            self._containers.api.start(system)

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
            state = self._containers.api.inspect_container(self.systems[name])["State"]
        return "" if state["Running"] else f"exit status {state['ExitCode']}"

    def last_words(self, name: str) -> str:
        """How a node ended at its start; its log is whole afterwards."""
        self.logs[name].finish()
        how = self._how_ended(name)
        return f" ({how})" if how else ""

    def _agent_gone(self, link: AgentLink, why: str) -> None:
        self._breakage.note(f"the agent of {link.node}: {why}")


def archive(files: Mapping[str, str]) -> bytes:
    """A tar of these files and the folders that they stand in, readable by all."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        folders = {str(parent) for name in files for parent in PurePosixPath(name).parents if str(parent) != "."}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, text in files.items():
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()
