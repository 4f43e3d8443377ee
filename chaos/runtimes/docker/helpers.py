"""Our helpers of one run on docker: name server and prober as containers, the role watch as a process beside the harness."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from chaos.core.clock import Clock
from chaos.core.values import CLIENTS, DNS, TrafficOrder
from chaos.experiment import probe_options
from chaos.history.events import Row, TrafficEnded
from chaos.history.folder import write_private
from chaos.plugin import Deployment, Sink
from chaos.registry.runs import Claim
from chaos.runtimes.base.helper import Breakage, Helper
from chaos.runtimes.base.names import ServerNames
from chaos.runtimes.base.process import Child, Died, Reaper
from chaos.runtimes.base.specs import dns_spec, prober_spec, surge_spec, watch_spec
from chaos.runtimes.base.surges import Spares, SurgeOrder, Surges, unheard
from chaos.runtimes.docker.containers import REFUSES_EACH, Containers, Endpoint, Spec
from chaos.runtimes.docker.layout import DNS_PORT, FOLDER_INSIDE, TARGET_INSIDE, DockerLayout
from chaos.runtimes.docker.talker import ContainerTalker, waiting_command

LAST_ROWS_S = 1.0
PROBER = "prober"
PROBER_MODULE = "chaos.traffic.prober"
WATCH = "watch"


class Helpers:
    """Made early, let go when it is their turn, ended together."""

    def __init__(
        self,
        deployment: Deployment,
        layout: DockerLayout,
        containers: Containers,
        network: str,
        image: str,
        claim: Claim,
        breakage: Breakage,
        sink: Sink,
        clock: Clock,
    ) -> None:
        self._deployment = deployment
        self._layout = layout
        self._containers = containers
        self._network = network
        self._image = image
        self._claim = claim
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._folder = deployment.folder.absolute()
        self._reaper: Reaper | None = None
        self._children: list[tuple[Child, Died]] = []
        self._talkers: dict[str, ContainerTalker] = {}
        self._all: list[Helper] = []
        self._dns: Helper | None = None
        self.names: ServerNames | None = None
        """Orders to the name server, if it is ours."""
        self._watch: Helper | None = None
        self._prober: Helper | None = None
        self._clients_agent = ""
        self._spares = Spares(self._make_spare)

    @property
    def failure(self) -> str:
        """Why deaths can no longer be seen; empty while they can."""
        return self._reaper.failure if self._reaper is not None else ""

    # --- name server and prober ----------------------------------------------------------------------------------------

    def warm_dns(self, agent: str, on_row: Callable[[Row], None]) -> None:
        """The name server, loaded and waiting; ``agent``: the container that owns its place on the network, if it has one."""
        self._dns = self._warm(DNS, "chaos.dns.server", DNS, agent, on_row)
        self.names = ServerNames(self._dns, self._layout.name, self._layout.dns_address, DNS_PORT, self._clock)

    def warm_prober(self, agent: str) -> None:
        """The prober, loaded and waiting."""
        self._prober = self._warm(PROBER, PROBER_MODULE, CLIENTS, agent)
        self._clients_agent = agent
        self._spares.warm(self._deployment.plan)

    def serve_names(self, within_s: float) -> None:
        """Let the name server answer; returns when it does."""
        assert self._dns is not None
        self._let_go(self._dns, msgspec.json.encode(dns_spec(self._deployment, self._layout, DNS_PORT)))
        self._dns.wait_ready(within_s)

    def start_prober(self, order: TrafficOrder) -> Helper:
        """The one that waits."""
        assert self._prober is not None, "the traffic of a run on docker is sent once"
        prober, self._prober = self._prober, None
        spec = prober_spec(self._deployment, self._layout, order, self._layout.nameserver, FOLDER_INSIDE, TARGET_INSIDE)
        self._let_go(prober, msgspec.json.encode(spec))
        return prober

    # --- surges --------------------------------------------------------------------------------------------------------

    def surges(self) -> Surges:
        """More traffic, from where the prober is."""
        return Surges(self._deployment, self._spares, self._go, self._clock)

    def _make_spare(self, name: str) -> Helper:
        # Without an agent of its own the measuring prober owns the clients' place; it runs as long as the run does.
        owner = self._clients_agent or f"nines-{self._containers.run}-{PROBER}"
        return self._warm(name, PROBER_MODULE, CLIENTS, owner, sink=unheard)

    def _go(self, helper: Helper, order: SurgeOrder) -> None:
        spec = surge_spec(self._deployment, self._layout, order, self._layout.nameserver, FOLDER_INSIDE, TARGET_INSIDE)
        self._let_go(helper, msgspec.json.encode(spec))

    def _warm(
        self,
        name: str,
        module: str,
        place: str,
        agent: str,
        on_row: Callable[[Row], None] | None = None,
        sink: Sink | None = None,
    ) -> Helper:
        endpoint = Endpoint(self._network, self._layout.real_address(place), (), ())
        spec = Spec(
            name=f"nines-{self._containers.run}-{name}",
            node=place,
            role=name,
            image=self._image,
            command=waiting_command(module, f"{FOLDER_INSIDE}/specs/{name}.json"),
            endpoint=None if agent else endpoint,
            joins=agent,
            sysctls=REFUSES_EACH if place == DNS and not agent else {},
            shares_pids=False,
            env={"PYTHONUNBUFFERED": "1", **(self._secrets() if module == PROBER_MODULE else {})},
            capabilities=("SYS_NICE",),
            binds={str(self._folder): FOLDER_INSIDE, self._deployment.target.folder: f"{TARGET_INSIDE}:ro"},
            talks=True,
            ends_with_us=True,
            measures=True,
        )
        container = self._containers.create(spec)
        log = self._folder / "logs" / f"{name}.log"
        talker = ContainerTalker(self._containers.api, container, name, log, self._clock)
        last_row = TrafficEnded if module == PROBER_MODULE else None
        helper = Helper(talker, log, sink or self._sink, self._breakage, on_row, last_row)
        self._talkers[name] = talker
        self._all.append(helper)
        helper.start()
        self._containers.start(container, spec.name)
        return helper

    def _secrets(self) -> dict[str, str]:
        """What headers name of our environment, which the prober's container does not share."""
        plan = self._deployment.plan
        return probe_options.secrets(kind.options for kind in plan.operations.values())

    def _let_go(self, helper: Helper, spec: bytes) -> None:
        write_private((self._folder / "specs" / f"{helper.child.name}.json"), spec)
        self._talkers[helper.child.name].go()

    # --- the watch -----------------------------------------------------------------------------------------------------

    def start_watch(self) -> None:
        """Beside the harness, at the gateway, past every rule of ours; only if there is anything to see."""
        spec = watch_spec(self._deployment, self._layout)
        if not any(node.roles or node.marks for node in spec.nodes):
            return
        path, log = self._folder / "specs" / f"{WATCH}.json", self._folder / "logs" / f"{WATCH}.log"
        path.write_bytes(msgspec.json.encode(spec))
        env = {"PYTHONUNBUFFERED": "1", **os.environ, **self._claim.labels(WATCH)}
        child = Child(WATCH, [sys.executable, "-m", "chaos.query.watcher", str(path)], env, Path.cwd(), log, self._clock, talks=True)
        self._claim.note_process(WATCH, child.pid)
        self._watch = Helper(child, log, self._sink, self._breakage)
        self._all.append(self._watch)
        self._children.append((child, self._watch.died))
        self._reaper = Reaper(self._clock)
        self._reaper.watch(child, self._watch.died)
        self._watch.start()

    def await_watch(self, within_s: float) -> None:
        """Until it asks."""
        if self._watch is not None:
            self._watch.wait_ready(within_s)

    # --- end -----------------------------------------------------------------------------------------------------------

    def end_input(self) -> None:
        """Ask all to end."""
        for helper in self._all:
            helper.end_input()

    def wait_ended(self) -> None:
        """Take over their last rows."""
        for child, died in self._children:
            child.wait_end(LAST_ROWS_S, died)
        for helper in self._all:
            helper.wait_ended(LAST_ROWS_S)

    def close(self) -> None:
        """Detach from them, stop the threads."""
        for talker in self._talkers.values():
            talker.close()
        for child, _ in self._children:
            child.close()
        if self._reaper is not None:
            self._reaper.close()
