"""The command of ``abort_if``: asked again and again while the run goes on whether it may; anything but status 0 ends the run.

It is started without a shell, in the folder the harness was started in, with the run's name and folder in its environment, and leads
a process group of its own: what is left of the group when it has answered, or when the run ends, is killed. The label in its
environment lets ``nines leftovers`` find it if the harness dies meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from chaos.core.clock import Clock, ManualClock, to_ns, to_s
from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.experiment.safety import AbortCommand
from chaos.history.events import AbortAnswered, Aborting
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.run.monitor import LiveState
from chaos.run.scheduler import Agenda

LABEL: Final = "abort_if"
"""Under this name its processes stand in the list of leftovers."""
FOLDER: Final = "NINES_FOLDER"
LOOK_EVERY_S = 0.05
END_WITHIN_S = 5.0
SAID_MOST = 200
LOG = "abort_if.log"


def require(command: AbortCommand) -> None:
    """``EnvironmentUnusable`` if there is no such program; nothing is started."""
    if shutil.which(command.words[0]) is None:
        raise EnvironmentUnusable(
            f"abort_if: there is no program '{command.words[0]}'", how="put it on PATH, or write its path; it is started without a shell"
        )


class Guard:
    """Asks by way of the agenda, and never waits for the answer."""

    def __init__(self, command: AbortCommand, run: str, folder: Path, clock: Clock, state: LiveState, agenda: Agenda) -> None:
        self._command = command
        self._run = run
        self._log = folder / "logs" / LOG
        self._clock = clock
        self._state = state
        self._agenda = agenda
        self._env = os.environ | proc.labels(run, LABEL, proc.own_identity(), registry.state_dir()) | {FOLDER: str(folder)}
        self._popen: subprocess.Popen[bytes] | None = None
        self._asked_ns = 0
        self._written = 0
        self._asked_ever = False

    def ask(self) -> None:
        """Start it, and see to the answer later."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._asked_ns = self._clock.now_ns()
        with self._log.open("ab") as out:
            self._written = out.tell()
            try:
                self._popen = subprocess.Popen(
                    self._command.words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._env, process_group=0
                )
            except OSError as error:
                self._refuse(None, f"cannot be started: {error.strerror}", "")
                return
        self._asked_ever = True
        self._look()

    def _look(self) -> None:
        # Virtual time does not pass while a real program runs: nothing is held up by waiting for it there.
        virtual = isinstance(self._clock, ManualClock)
        answered = self._ended(self._command.timeout_s if virtual else 0.0)
        in_time = not virtual and to_s(self._clock.now_ns() - self._asked_ns) < self._command.timeout_s
        if not answered and in_time:
            self._agenda.soon(LOOK_EVERY_S, self._look)
            return
        status, said = self._collect(), self._last_line()
        if not answered:
            self._refuse(None, f"gave no answer within {self._command.timeout_s:g} s", said)
        elif status:
            what = f"answered {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"
            self._refuse(max(status, 0) or None, what, said)
        else:
            self._answered(0, said)
            self._agenda.at(max(self._asked_ns + to_ns(self._command.every_s), self._clock.now_ns()), self.ask)

    def _ended(self, within_s: float) -> bool:
        """Not collected yet, so that its number still names its group."""
        assert self._popen is not None
        if sys.platform != "linux":
            raise AssertionError("only Linux runs nodes")
        descriptor = os.pidfd_open(self._popen.pid)
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return bool(poller.poll(within_s * 1e3))
        finally:
            os.close(descriptor)

    def _collect(self) -> int:
        """End what is left of its group; its exit status, negative for a signal."""
        assert self._popen is not None
        popen, self._popen = self._popen, None
        if sys.platform != "linux":
            raise AssertionError("only Linux runs nodes")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        return popen.wait()

    def _answered(self, status: int | None, said: str) -> None:
        now_ns = self._clock.now_ns()
        self._state(AbortAnswered(at_ns=now_ns, status=status, took_s=to_s(now_ns - self._asked_ns), said=said))

    def _refuse(self, status: int | None, what: str, said: str) -> None:
        self._answered(status, said)
        condition = f"abort_if: '{shlex.join(self._command.words)}' {what}" + (f": {said}" if said else "")
        self._state(Aborting(at_ns=self._clock.now_ns(), condition=condition))

    def _last_line(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._written)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:SAID_MOST] if lines else ""

    def end(self) -> None:
        """Nothing of it outlives the run, not even what has left its group. ``NotHealed`` if something does not die."""
        if self._popen is not None:
            self._collect()
        if not self._asked_ever:
            return
        # Again until a look finds none: what it left behind may itself start things while it is being listed.
        until_s = time.monotonic() + END_WITHIN_S
        while strayed := [process.identity for process in proc.labelled(self._run) if process.node == LABEL]:
            if proc.end(strayed, END_WITHIN_S) or time.monotonic() > until_s:
                raise NotHealed(f"what '{self._command.words[0]}' started did not die of SIGKILL")
