"""A node as a plain process of its own session: kill, start, pause and resume by signals to the whole process group."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals

import msgspec

from chaos.agent.agent_parts import limits
from chaos.agent.agent_parts import serving as beside
from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.core.files import write_atomically
from chaos.core.values import NodeInfo, OpenFiles, Status
from chaos.history.events import NodeChanged
from chaos.plugin import Sink
from chaos.registry import processes as proc
from chaos.registry.runs import Claim
from chaos.runtimes.base.account import Account
from chaos.runtimes.base.process import Child, Reaper
from chaos.runtimes.local.clock import NodeClock

FATAL = frozenset({"KILL", "TERM", "INT", "QUIT", "ABRT", "SEGV", "BUS", "ILL", "HUP"})
"""Signals that end a process unless it handles them, without ``SIG``; after these a kill waits for the death."""
KILL_WITHIN_S = 5.0
"""How long a process may take to die of SIGKILL (it may be in the middle of a slow system call)."""
END_WITHIN_S = 10.0
"""How long one may take to end by itself after a signal that asks it to."""
FREEZE_WITHIN_S = 2.0
LOOK_EVERY_S = 0.0002

BY_ITSELF = "by-itself"


class NodeRecipe(msgspec.Struct, frozen=True):
    """How to start it, each time the same."""

    info: NodeInfo
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    log: Path
    files: Mapping[str, str] = {}
    """What lies in its folder before its first start: relative path -> text."""
    account: Account | None = None
    """Who it runs as, if not who runs Nines."""


def prepare(recipe: NodeRecipe) -> None:
    """Its folder, with nothing in it but the target's files."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    for relative, content in recipe.files.items():
        path = recipe.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(recipe.folder.resolve()):
            raise EnvironmentUnusable(
                f"the file '{relative}' would lie outside of the node's folder {recipe.folder}", how="another --folder"
            )
        write_atomically(path, content.encode())
    if recipe.account is not None:
        recipe.account.owns(recipe.folder)


class LocalNode:
    """One node. Verbs are safe from any thread; each row is in the history before its verb returns."""

    def __init__(
        self, recipe: NodeRecipe, claim: Claim, reaper: Reaper, sink: Sink, clock: Clock, own_clock: NodeClock | None = None
    ) -> None:
        self._recipe = recipe
        self._own_clock = own_clock
        self._claim = claim
        self._reaper = reaper
        self._sink = sink
        self._clock = clock
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._retired = False

    @property
    def info(self) -> NodeInfo:
        """Who it is."""
        return self._recipe.info

    @property
    def child(self) -> Child | None:
        """Its present or last process."""
        return self._child

    def status(self) -> Status:
        """By the word of the kernel."""
        return Status.DOWN if self._child is None else self._child.status()

    def kill(self, signal: int) -> int:
        """Signal the process group. After a fatal signal: wait for the death, and return its time.

        A process that outlives a signal which it may handle is left to the caller's own look at ``status``; one that outlives
        SIGKILL is a ``FaultNotEffective``.
        """
        child = self._running("kill")
        sent_ns = self._clock.now_ns()
        if Signals(signal).name.removeprefix("SIG") not in FATAL:
            child.send(signal)
            return sent_ns
        pidfd = child.pidfd()
        if pidfd is None:
            raise FaultNotEffective(f"{self.info.name} had died by itself before it could be killed")
        try:
            child.commanded = True
            child.send(signal)
            died_ns = child.wait_dead(pidfd, KILL_WITHIN_S if signal == SIGKILL else END_WITHIN_S)
        finally:
            os.close(pidfd)
        if died_ns is None:
            # Asked to end, it may still do so later than we waited; of any other signal its death would be a surprise by then.
            child.commanded = signal == SIGTERM
            if signal == SIGKILL:
                raise FaultNotEffective(f"{self.info.name} (pid {child.pid}) did not die of SIGKILL within {KILL_WITHIN_S:g} s")
            return sent_ns
        child.collect(died_ns, self._died)
        return child.died_ns or died_ns

    def start(self) -> int:
        """The same command on the same data and address."""
        with self._lock:
            if self._child is not None and self._child.status() is not Status.DOWN:
                raise AssertionError(f"{self.info.name} runs already")
            recipe = self._recipe
            if self._own_clock is not None:
                self._own_clock.begins()
            child = Child(recipe.info.name, recipe.command, recipe.env, recipe.folder, recipe.log, self._clock, account=recipe.account)
            self._child = child
            self._claim.note_process(recipe.info.name, child.pid)
            self._sink(NodeChanged(at_ns=child.started_ns, node=recipe.info.name, status=Status.UP))
            self._reaper.watch(child, self._died)
            return child.started_ns

    def pause(self) -> int:
        """SIGSTOP; returns once the kernel says it is stopped."""
        return self._signal_until(SIGSTOP, Status.PAUSED)

    def resume(self) -> int:
        """SIGCONT; returns once the kernel says it runs. A dead node stays dead: there is nothing left to resume."""
        if self.status() is Status.DOWN:
            return self._clock.now_ns()
        return self._signal_until(SIGCONT, Status.UP)

    def remove(self, *, data: bool) -> int:
        """SIGKILL; with ``data`` its folder is emptied but for the files that its target gives it, so that it begins anew."""
        died_ns = self.kill(SIGKILL)
        if data:
            shutil.rmtree(self._recipe.folder)
            prepare(self._recipe)
        return died_ns

    def serving(self) -> tuple[int, ...]:
        """The processes of its session that listen on its ports; the main one is not among them."""
        child = self._running("look at")
        leader = proc.identity(child.pid)
        members = [] if leader is None else [member.pid for member in proc.session_of(leader)]
        return tuple(beside.serving(members, child.pid, set(self.info.ports.values())))

    def kill_serving(self, signal: int) -> int:
        """Of those processes, not of the node: its main process lives on, and is told nothing by us."""
        found = self.serving()
        if not found:
            raise FaultNotEffective(f"the main process of {self.info.name} serves by itself: nobody would start it again")
        at_ns, alive = beside.kill(found, signal)
        if alive:
            raise FaultNotEffective(
                f"process {alive[0]} of {self.info.name} did not die of {Signals(signal).name} within {beside.WITHIN_S:g} s"
            )
        return at_ns

    def set_clock(self, offset_s: float, rate: float) -> int:
        """Of its processes, those to come among them."""
        if self._own_clock is None:
            raise FaultNotEffective(f"{self.info.name} reads the clock of this machine: no fault of the plan said that it needs its own")
        return self._own_clock.set(offset_s, rate, self._clock.now_ns() if self._child is None else self._child.started_ns)

    def open_files(self) -> OpenFiles:
        """Of the process that may open the fewest more."""
        return self._each(limits.files)

    def limit_files(self, left: int) -> OpenFiles:
        """Every process of it that runs now."""
        return self._each(lambda pid: limits.lower(pid, left))

    def unlimit_files(self) -> OpenFiles:
        """Those that were limited and still run."""
        return self._each(limits.restore)

    def _each(self, do: Callable[[int], limits.Files]) -> OpenFiles:
        child = self._running("look at")
        leader = proc.identity(child.pid)
        found = []
        for member in [] if leader is None else proc.session_of(leader):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.append(do(member.pid))
        if not found:
            raise FaultNotEffective(f"{self.info.name} has died")
        files = limits.fewest(found)
        return OpenFiles(**files._asdict())

    def retire(self) -> None:
        """From now on the end of this node is ours, and no event of the run."""
        self._retired = True

    def died(self, child: Child) -> None:
        """What to do about a death; runs in whichever thread saw it first."""
        self._died(child)

    def _died(self, child: Child) -> None:
        if self._retired:
            return
        assert child.died_ns is not None
        self._sink(
            NodeChanged(
                at_ns=child.died_ns,
                node=self.info.name,
                status=Status.DOWN,
                cause="" if child.commanded else BY_ITSELF,
                detail=child.how_it_ended(),
            )
        )

    def _running(self, verb: str) -> Child:
        child = self._child
        if child is None or child.status() is Status.DOWN:
            raise FaultNotEffective(f"cannot {verb} {self.info.name}: it is not running")
        return child

    def _signal_until(self, number: int, wanted: Status) -> int:
        child = self._running("signal")
        child.send(number)
        until_ns = self._clock.now_ns() + to_ns(FREEZE_WITHIN_S)
        while (seen := child.status()) is not wanted:
            if self._clock.now_ns() >= until_ns or seen is Status.DOWN:
                waited_s = to_s(self._clock.now_ns() - until_ns) + FREEZE_WITHIN_S
                raise FaultNotEffective(f"{self.info.name} is {seen}, not {wanted}, {waited_s:.2g} s after {Signals(number).name}")
            time.sleep(LOOK_EVERY_S)
        at_ns = self._clock.now_ns()
        self._sink(NodeChanged(at_ns=at_ns, node=self.info.name, status=wanted))
        return at_ns
