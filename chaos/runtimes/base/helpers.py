"""Our helper processes of one run (name server, role watch, prober, spare probers): made early to load, let go when it is their turn,
ended together.

Here they are processes beside the harness. A runtime that has them elsewhere says how one is made (``make``) and let go (``let_go``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.clock import Clock, to_ns
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import CLIENTS, DNS, Link, TrafficOrder
from chaos.dns.spec import MoveOrder
from chaos.history.events import DataEnded, DnsChanged, NamesOrdered, Row, TrafficEnded
from chaos.history.folder import DEMAND, write_private
from chaos.plugin import Deployment, Sink
from chaos.query.watch_spec import WatchSpec
from chaos.registry.runs import Claim
from chaos.runtimes.base.follower import Follower
from chaos.runtimes.base.helper import Breakage, Helper, Talker
from chaos.runtimes.base.layout import Layout
from chaos.runtimes.base.names import ServerNames
from chaos.runtimes.base.process import Child, Died, Reaper, end_all
from chaos.runtimes.base.readiness import see
from chaos.runtimes.base.specs import data_order, demand_spec, dns_spec, expected_set, prober_spec, replica, surge_spec, watch_spec, watched
from chaos.runtimes.base.surges import Spares, SurgeOrder, Surges, unheard
from chaos.traffic.data_order import NodeMoved
from chaos.traffic.lookup import exchange

PROBER: Final = "prober"
DATA: Final = "data"
WATCH: Final = "watch"
FORWARD: Final = "forward"
"""A resolver of ours before a name server that is not."""
MODULES: Final = {
    DNS: "chaos.dns.server",
    FORWARD: "chaos.dns.forward",
    WATCH: "chaos.query.watcher",
    PROBER: "chaos.traffic.prober",
    DATA: "chaos.traffic.data",
}
"""What each runs; whatever has another name is a spare prober."""
READY_S: Final = 15.0
RESOLVES_WITHIN_S: Final = 10.0
LAST_ROWS_S: Final = 1.0
"""Asked to end, or dead, a helper's last rows are handed on within this."""
END_GRACE_S: Final = 0.6


def environment(claim: Claim, name: str) -> dict[str, str]:
    """What every process of a run is given: ours, with the labels; unbuffered, so that a killed one's last lines are in its log."""
    return {"PYTHONUNBUFFERED": "1", **os.environ, **claim.labels(name)}


def is_prober(name: str) -> bool:
    """The measuring one, or a spare."""
    return name not in MODULES or name == PROBER


def sends(name: str) -> bool:
    """It asks the system under test what clients ask, from where they are."""
    return is_prober(name) or name == DATA


class Helpers:
    """All of a run. ``folder`` and ``target_folder``: where the prober finds the run's and the target's, if not where we do."""

    def __init__(
        self, deployment: Deployment, layout: Layout, claim: Claim, breakage: Breakage, sink: Sink, clock: Clock,
        *, folder: str = "", target_folder: str = "",
    ) -> None:  # fmt: skip
        self.names: ServerNames | None = None
        """Orders to the name server, if it is ours."""
        self.reaper = Reaper(clock)
        self._deployment = deployment
        self._layout = layout
        self._claim = claim
        self._breakage = breakage
        self._sink = sink
        self._clock = clock
        self._folder = deployment.folder.absolute()
        self._seen = (folder or str(deployment.folder), target_folder or deployment.target.folder)
        self._all: list[Helper] = []
        self._children: list[tuple[Child, Died]] = []
        self._dns: Helper | None = None
        self._watch: Helper | None = None
        self._watching = False
        self._prober: Helper | None = None
        self._data: Helper | None = None
        self._data_clients: Helper | None = None
        """The same, once it works."""
        self._demand: Helper | None = None
        self._in_set: frozenset[str] = frozenset()
        self._follower: Follower | None = None
        self._spares = Spares(lambda name: self.make(name, CLIENTS, sink=unheard))

    # --- how one is made, and let go -----------------------------------------------------------------------------------

    def make(self, name: str, place: str, on_row: Callable[[Row], None] | None = None, sink: Sink | None = None) -> Helper:
        """One that loads and then waits for its spec. ``place``: whose address it has; ``sink``: for rows that are not the history's."""
        return self._make_process(name, on_row, sink, self._way_to(place))

    def _way_to(self, place: str) -> tuple[str, ...]:  # noqa: ARG002 - for a runtime that has places
        """What starts a command there: words before it."""
        return ()

    def let_go(self, helper: Helper, spec: bytes) -> None:
        """Let it begin; the spec is kept beside the run."""
        self._keep(helper, spec)
        helper.feed(spec)

    def _make_process(
        self, name: str, on_row: Callable[[Row], None] | None = None, sink: Sink | None = None, way: Sequence[str] = ()
    ) -> Helper:  # fmt: skip
        log = self._log(name)
        reads, writes = os.pipe()
        try:
            command = [*way, sys.executable, "-m", MODULES.get(name, MODULES[PROBER]), f"/dev/fd/{reads}"]
            env = environment(self._claim, name)
            child = Child(name, command, env, Path.cwd(), log, self._clock, talks=True, inherits=(reads,))
        except BaseException:
            os.close(writes)
            raise
        finally:
            os.close(reads)
        helper = self._helper(child, name, on_row, sink, writes)
        self._children.append((child, helper.died))
        self._claim.note_process(name, child.pid)
        self.reaper.watch(child, helper.died)
        helper.start()
        return helper

    def _helper(
        self, talker: Talker, name: str, on_row: Callable[[Row], None] | None, sink: Sink | None, spec_fd: int | None = None
    ) -> Helper:
        last_row = TrafficEnded if is_prober(name) else DataEnded if name == DATA else None
        helper = Helper(talker, self._log(name), sink or self._sink, self._breakage, on_row, last_row, spec_fd)
        self._all.append(helper)
        return helper

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    def _keep(self, helper: Helper, spec: bytes) -> None:
        write_private(self._folder / "specs" / f"{helper.child.name}.json", spec)

    # --- name server, watch, prober --------------------------------------------------------------------------------------

    def warm_dns(self) -> None:
        """The name server, loaded and waiting."""
        self._dns = self.make(DNS, DNS, self._note_set)
        self.names = ServerNames(self._dns, self._layout.name, *self._layout.nameserver, self._clock)

    def warm_prober(self) -> None:
        """The prober has most to load, and the traffic is not to wait for it; spares with it, if surges are planned."""
        if self._deployment.plan.data is not None:
            self._data = self.make(DATA, CLIENTS)
        self._prober = self.make(PROBER, CLIENTS)
        if any(spec.demand is not None for spec in self._deployment.plan.experiment.traffic.operations.values()):
            self._demand = self.make(DEMAND, CLIENTS, sink=unheard)
        self._spares.warm(self._deployment.plan)

    def warm_watch(self) -> None:
        """The role watch, loaded and waiting; only if there is anything to see."""
        if self._watch is None and any(node.roles or node.marks or node.views for node in self._watched().nodes):
            self._watch = self._make_process(WATCH)

    def start_watch(self) -> None:
        """Beside the harness, past every rule of ours; once."""
        self.warm_watch()
        if self._watch is not None and not self._watching:
            self._watching = True
            self.let_go(self._watch, msgspec.json.encode(self._watched()))

    def _watched(self) -> WatchSpec:
        return watch_spec(self._deployment, self._layout)

    def await_watch(self) -> None:
        """Until it asks."""
        if self._watch is not None:
            self._watch.wait_ready(READY_S)

    def start_prober(self, order: TrafficOrder) -> Helper:
        """The one that waits; for further traffic of the same run a new one."""
        helper, self._prober = self._prober or self.make(PROBER, CLIENTS), None
        self.let_go(helper, msgspec.json.encode(prober_spec(self._deployment, self._layout, order, self._layout.answers, *self._seen)))
        return helper

    def start_data(self, order: TrafficOrder) -> Helper | None:
        """The clients that write and read data, if the plan has any."""
        helper, self._data = self._data, None
        self._data_clients = helper
        if helper is not None:
            told = data_order(self._deployment, self._layout, order, self._layout.nameserver, *self._seen)
            self.let_go(helper, msgspec.json.encode(told))
        return helper

    def start_demand(self, order: TrafficOrder) -> Helper | None:
        """Who sends what a changing rate asks beyond the even requests, if the plan has one."""
        helper, self._demand = self._demand, None
        if helper is not None:
            told = demand_spec(self._deployment, self._layout, order, self._layout.answers, *self._seen)
            self.let_go(helper, msgspec.json.encode(told))
        return helper

    def surges(self) -> Surges:
        """More traffic, from where the prober is."""
        return Surges(self._deployment, self._spares, self._surge, self._clock)

    def _surge(self, helper: Helper, order: SurgeOrder) -> None:
        spec = surge_spec(self._deployment, self._layout, order, self._layout.answers, *self._seen)
        self.let_go(helper, msgspec.json.encode(spec))

    # --- the name --------------------------------------------------------------------------------------------------------

    def serve_names(self) -> None:
        """Let the name server answer; returns when the name holds every node that it is to hold, and resolves over the wire."""
        assert self._dns is not None
        self.let_go(self._dns, msgspec.json.encode(dns_spec(self._deployment, self._layout, self._layout.nameserver[1])))
        self._dns.wait_ready(READY_S)
        name, log = self._layout.name, self._log(DNS)
        expected = expected_set(self._deployment, self._layout)
        until_ns = self._clock.now_ns() + to_ns(RESOLVES_WITHIN_S)
        while not self._in_set or not self._in_set >= expected:
            if self._breakage.why or self._clock.now_ns() >= until_ns:
                missing = ", ".join(sorted(expected - self._in_set)) or "any node"
                why = self._breakage.why or f"its check did not hold within {RESOLVES_WITHIN_S:g} s"
                raise EnvironmentUnusable(f"the name {name} does not answer with {missing}: {why}", how=see(log))
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(0.005))
        self._resolve_once()

    def _resolve_once(self) -> None:
        """As a client does it."""
        import dns.exception

        name, log = self._layout.name, self._log(DNS)
        try:
            answer = exchange(name, *self._layout.nameserver, RESOLVES_WITHIN_S)
        except (dns.exception.DNSException, OSError) as error:
            raise EnvironmentUnusable(f"the name server does not answer: {error}", how=see(log)) from error
        if not answer.answer:
            raise EnvironmentUnusable(f"the name {name} has no address", how=see(log))

    def follow_names(self, within_s: float = RESOLVES_WITHIN_S) -> None:
        """The name is answered by somebody else: returns when every node is in it, and goes on telling who is."""
        follower = self._follower = Follower(self._layout, self._sink, self._clock)
        follower.await_all(within_s)
        follower.start()

    def moved(self, node: str) -> None:
        """It is at another address, as the layout has it: whoever asks it or answers with it is told."""
        if self._dns is not None:
            self._dns.child.tell(msgspec.json.encode(MoveOrder(replica(self._deployment, self._layout, node))))
        if self._watch is not None:
            self._watch.child.tell(msgspec.json.encode(watched(self._deployment.target, self._layout, node)))
        if self._follower is not None:
            self._follower.moved(node, self._layout.nodes[node].address)
        if self._data_clients is not None:
            self._data_clients.child.tell(msgspec.json.encode(NodeMoved(node, self._layout.address(Link(CLIENTS, node)))))

    def _note_set(self, row: Row) -> None:
        if isinstance(row, DnsChanged) and row.name == self._layout.name:
            self._in_set = frozenset(row.nodes)
        elif isinstance(row, NamesOrdered) and self.names is not None:
            self.names.told(row)

    # --- end -----------------------------------------------------------------------------------------------------------

    def end_input(self) -> None:
        """Ask all to end."""
        if self._follower is not None:
            self._follower.stop()
        for helper in self._all:
            helper.end_input()

    def end_processes(self, others: Sequence[tuple[Child, Died]] = ()) -> None:
        """All processes of the run on this machine, those of ours and ``others``: SIGTERM at once, SIGKILL after a short grace."""
        end_all([*others, *self._children], END_GRACE_S, self._clock)

    def wait_ended(self) -> None:
        """Take over their last rows."""
        for child, died in self._children:
            child.wait_end(LAST_ROWS_S, died)
        for helper in self._all:
            helper.wait_ended(LAST_ROWS_S)

    def close(self) -> None:
        """All are dead: close the pipes, stop the threads."""
        if self._follower is not None:
            self._follower.close()
        for child, _ in self._children:
            child.close()
        self.reaper.close()
