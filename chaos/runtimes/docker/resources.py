"""What a node's limits are used up by, in containers: stress-ng beside its system, ballast on its disks.

The engine starts the load in the system's own container, so that it counts against the system's limits and against nothing else; the
agent, which shares its process namespace, counts it, ends it, and reads the control group. Disks are filled and locked by the agent,
which mounts them as well. When the system's container ends, the engine ends all that runs in it: a load dies with its node.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from chaos.core.clock import Clock
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective, NotHealed
from chaos.core.values import Allowed, Held, Load, Loaded, Room, Status, Usage, Work
from chaos.engine.errors import translated
from chaos.engine.images.tools import STRESS
from chaos.runtimes.base.agents.link import AgentLink
from chaos.runtimes.docker.supplies import SCRATCH_INSIDE

if TYPE_CHECKING:
    from docker.api import APIClient

RUNS_WITHIN_S: Final = 4.0
"""From the order to the engine until the load's processes run."""
STARVED: Final = "OOM"
"""What is noted of a death for want of memory."""
_NUMBERS: Final = itertools.count(1_000_001)
"""Each load's own, on its command line as the seed of stress-ng's random numbers."""
_LEAST: Final = {"cpu": 2, "memory": 3, "io": 2}
"""So many processes of a load with one worker are there once it works; each further worker adds one, or two of memory."""


def command(order: Load, number: str) -> tuple[str, ...]:
    """How stress-ng is told to do it, until it is ended."""
    what: tuple[str, ...]
    match order.kind:
        case "cpu":
            what = ("--cpu", str(order.workers), "--cpu-load", str(max(1, round(order.busy * 100))), "--cpu-method", "int64")
        case "memory":
            # It takes the memory, writes to every page of it once, and keeps it without doing anything more.
            what = ("--vm", str(order.workers), "--vm-bytes", f"{order.bytes}b", "--vm-keep", "--vm-populate", "--vm-hang", "0")
            what += ("--vm-method", "zero-one", "--oomable")
        case "io":
            what = ("--hdd", str(order.workers), "--hdd-bytes", f"{order.bytes}b", "--hdd-write-size", "64k", "--hdd-opts", "dsync,wr-rnd")
        case _:
            raise AssertionError(f"no load is called '{order.kind}'")
    folder = SCRATCH_INSIDE if order.kind == "io" else "/dev/shm"  # noqa: S108 - stress-ng wants to be able to write there, and does not
    return (*STRESS, *what, "--keep-name", "--no-oom-adjust", "--temp-path", folder, "--timeout", "0", "--seed", number)


class NodeLoads:
    """``kinds.Loads`` of one node."""

    def __init__(
        self,
        node: str,
        api: APIClient,
        container: str,
        link: AgentLink,
        allowed: Allowed,
        status: Callable[[], Status],
        doom: Callable[[str], None],
        last_death_ns: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._node = node
        self._api = api
        self._container = container
        self._link = link
        self._allowed = allowed
        self._status = status
        self._doom = doom
        self._last_death_ns = last_death_ns
        self._clock = clock

    @property
    def allowed(self) -> Allowed:
        """Its limits."""
        return self._allowed

    def usage(self) -> Usage:
        """Read by the agent in the control group of the system's container."""
        answer = self._link.call("resources.usage")
        figures = {name: float(value or 0) for name, value in answer.result.items()}
        return Usage(answer.at_ns, figures["cpu_s"], figures["throttled_s"], figures["memory_bytes"])

    def work(self) -> Work:
        """Of every load on the node together."""
        answer = self._link.call("resources.load", number=None)
        figures = {name: float(value or 0) for name, value in answer.result.items()}
        return Work(answer.at_ns, figures["run_s"], figures["wait_s"], figures["written_bytes"])

    def scratch(self) -> Room:
        """A volume of the run, on the engine's own disk."""
        return _room(self._link, SCRATCH_INSIDE)

    @contextmanager
    def load(self, order: Load) -> Iterator[Loaded]:
        """Started by the engine, as root, in the system's container; ended by the agent."""
        if self._status() is Status.DOWN:
            raise FaultNotEffective(f"{self._node} cannot be loaded: it is not running")
        number, since_s = str(next(_NUMBERS)), time.time()
        began_ns = self._clock.now_ns()
        if order.kind == "memory":
            self._doom(STARVED)
            self._link.call("resources.expose")
        loaded = Loaded(
            began_ns, f"stress-ng, {order.workers} x {order.kind}", lambda: self._died_ns(began_ns), lambda: self._starved(since_s)
        )
        try:
            loaded.effective_at_ns = self._begin(order, number, loaded)
            yield loaded
        finally:
            loaded.ended = self._end(order, number)

    def _begin(self, order: Load, number: str, loaded: Loaded) -> int:
        words = list(command(order, number))
        try:
            with translated(f"starting a load on {self._node}"):
                execution = self._api.exec_create(self._container, words, user="0", workdir="/", stdout=False, stderr=False)["Id"]
                self._api.exec_start(execution, detach=True)
        except EnvironmentUnusable as error:
            raise FaultNotEffective(str(error)) from error
        least = _LEAST[order.kind] + (order.workers - 1) * (2 if order.kind == "memory" else 1)
        try:
            return self._link.call("resources.await", number=number, processes=least, within_s=RUNS_WITHIN_S).at_ns
        except FaultNotEffective:
            if order.kind == "memory" and loaded.died_ns() is not None:
                return self._clock.now_ns()  # too little memory even to begin: it did what it is for
            raise

    def _end(self, order: Load, number: str) -> int:
        try:
            ended = self._link.call("resources.end", number=number).result["ended"]
            if order.kind == "memory":
                self._link.call("resources.cover")
                self._doom("")
        except FaultNotEffective as error:
            raise NotHealed(f"the load on {self._node} could not be ended: {error}") from error
        return int(ended or 0)

    def _died_ns(self, since_ns: int) -> int | None:
        at_ns = self._last_death_ns()
        return at_ns if at_ns > since_ns else None

    def _starved(self, since_s: float) -> bool:
        """By the engine's own events, since a restart clears what the container remembers."""
        wanted = {"container": self._container, "event": "oom"}
        with translated(f"asking whether {self._node} ran out of memory"):
            events = self._api.events(since=f"{since_s:.6f}", until=f"{time.time():.6f}", filters=wanted, decode=True)
            return any(event.get("Action") == "oom" for event in events)


class NodeDisks:
    """``kinds.Disks`` of one node: its data folders, where its agent has them."""

    def __init__(self, node: str, link: AgentLink, folders: Sequence[str], doom: Callable[[str], None]) -> None:
        self._node = node
        self._link = link
        self._folders = tuple(folders)
        self._doom = doom

    def room(self) -> Room:
        """The fullest one."""
        return min((_room(self._link, folder) for folder in self._folders), key=lambda room: (room.free_bytes, room.write_error == ""))

    @contextmanager
    def fill(self, share: float | None, size_bytes: int | None) -> Iterator[Held]:
        """Ballast that the agent holds; it goes with the agent."""
        at_ns = 0
        with self._doomed("disk full"), ExitStack() as stack:
            for folder in self._folders:
                stack.callback(self._undo, "free", folder)
                at_ns = self._link.call("disks.fill", folder=folder, share=share, bytes=size_bytes).at_ns
            yield Held(at_ns, "ballast on the disk")

    @contextmanager
    def lock(self) -> Iterator[Held]:
        """Remounted by the agent; a folder that is busy takes back those before it."""
        at_ns = 0
        with self._doomed("disk read-only"), ExitStack() as stack:
            for folder in self._folders:
                stack.callback(self._undo, "unlock", folder)
                answer = self._link.call("disks.lock", folder=folder)
                if answer.result["busy"]:
                    raise FaultNotEffective(
                        f"the disk of {self._node} cannot become read-only while its system has files open for writing: the kernel"
                        " refuses that (EBUSY); use 'remount: restart'"
                    )
                at_ns = answer.at_ns
            yield Held(at_ns, "remounted read-only")

    @contextmanager
    def _doomed(self, how: str) -> Iterator[None]:
        self._doom(how)
        try:
            yield
        finally:
            self._doom("")

    def _undo(self, verb: str, folder: str) -> None:
        try:
            self._link.call(f"disks.{verb}", folder=folder)
        except FaultNotEffective as error:
            raise NotHealed(f"the disk of {self._node} is not as it was: {error}") from error


def _room(link: AgentLink, folder: str) -> Room:
    found = link.call("disks.room", folder=folder).result
    size, free, took_s = found["size_bytes"], found["free_bytes"], found["write_s"]
    return Room(float(size or 0), float(free or 0), None if took_s is None else float(took_s), str(found["write_error"]))
