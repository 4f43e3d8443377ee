"""A condition of the user's own, before the next fault: asked in the background, again and again, while somebody waits for it.

The run goes on meanwhile: faults are healed on time whatever a program does. What was asked before the last fault was gone does not count.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.clock import Clock, ManualClock, to_ns
from chaos.core.values import Status
from chaos.experiment.schedules import OnService
from chaos.experiment.settling import OK, SettleUntil
from chaos.experiment.target.spec import Ask
from chaos.plan.plan import Plan
from chaos.plugin import Cluster
from chaos.query.door import Door
from chaos.registry import processes as proc
from chaos.registry import runs as registry
from chaos.run.monitor import LiveState

LABEL: Final = "settle"
"""Under this name its program stands in the list of leftovers."""
LOG: Final = "settle.log"
_WORD: Final = re.compile(r"\{(\w+)\}")


class Said(msgspec.Struct, frozen=True):
    """What came of asking once; ``why`` is empty if it held."""

    asked_ns: int
    done_ns: int
    why: str


class OwnCondition:
    """``folder`` is the run's, ``run`` its name. To be closed."""

    def __init__(
        self, until: SettleUntil, plan: Plan, cluster: Cluster, clock: Clock, state: LiveState, run: str, folder: Path
    ) -> None:  # fmt: skip
        self._run = run
        self._until = until
        self._plan = plan
        self._cluster = cluster
        self._clock = clock
        self._state = state
        self._folder = folder
        self._since_ns = 0
        self._said: Said | None = None
        self._thread: threading.Thread | None = None
        self._door: Door | None = None
        self._popen: subprocess.Popen[bytes] | None = None

    def begin(self, since_ns: int) -> None:
        """Only what is asked from then on counts."""
        self._since_ns = since_ns

    def holds(self) -> bool:
        """By the last answer; asks anew, and does not wait for it, where that is old."""
        if self._until.service is not None:
            service = self._plan.judge if self._until.service == OK and OK not in self._plan.operations else self._until.service
            return self._state.holds(OnService(service, "up"), self._since_ns)
        said, now_ns = self._said, self._clock.now_ns()
        current = said is not None and said.asked_ns >= self._since_ns
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and (said is None or not current or now_ns - said.asked_ns >= to_ns(self._until.every_s)):
            self._thread = threading.Thread(target=self._ask, name="settle", daemon=True)
            self._thread.start()
            if isinstance(self._clock, ManualClock):
                self._thread.join()  # virtual time does not pass meanwhile
                return self._said is not None and not self._said.why
        return current and said is not None and not said.why

    @property
    def lacks(self) -> str:
        """Why it does not hold, for people."""
        why = self._said.why if self._said is not None and self._said.asked_ns >= self._since_ns else ""
        return f"'settle: {{until: ...}}' ({self._until}) did not hold{f': {why}' if why else ''}"

    def close(self) -> None:
        """No program of it outlives the run."""
        popen = self._popen
        if popen is not None:
            _kill(popen)
        if self._thread is not None:
            self._thread.join(timeout=self._until.timeout_s + 1)
        if self._door is not None:
            self._door.close()

    def _ask(self) -> None:
        asked_ns = self._clock.now_ns()
        why = self._by_http(self._until.http) if self._until.http is not None else self._by_command(self._until.command or ())
        self._said = Said(asked_ns, self._clock.now_ns(), why)

    def _by_http(self, url: str) -> str:
        questions = {name: Ask(http=each, status=self._until.status, json=self._until.json) for name, each in self._urls(url).items()}
        if self._door is None:
            self._door = Door()
        answers = self._door.ask_all(list(questions.values()), self._until.timeout_s)
        for name, answer in zip(questions, answers, strict=True):
            if not answer.ok:
                return f"{name}: {answer.error}" if name else answer.error or "no"
        return ""

    def _urls(self, url: str) -> dict[str, str]:
        """The URL for each node that is asked; under no name where it is the same for all."""
        if "{address}" not in url:
            return {"": url}
        part = self._plan.experiment.cluster.dns.part or self._plan.nodes[0].part
        found = {}
        for name, node in self._cluster.nodes.items():
            if node.info.part == part and node.status() is Status.UP:
                words = {"address": node.info.address, "node": name} | {port: str(number) for port, number in node.info.ports.items()}
                found[name] = _WORD.sub(lambda match, words=words: words.get(match[1], match[0]), url)  # type: ignore[misc] # bound at once
        return found

    def _by_command(self, words: tuple[str, ...]) -> str:
        log = self._folder / "logs" / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        env = os.environ | proc.labels(self._run, LABEL, proc.own_identity(), registry.state_dir()) | {"NINES_FOLDER": str(self._folder)}
        with log.open("ab") as out:
            try:
                popen = self._popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, process_group=0)
            except OSError as error:
                return f"'{words[0]}' cannot be started: {error.strerror}"
            answered = _ended(popen.pid, self._until.timeout_s)
            _kill(popen)
            self._popen = None
        if not answered:
            return f"'{shlex.join(words)}' gave no answer within {self._until.timeout_s:g} s"
        status = popen.returncode
        return f"'{shlex.join(words)}' answered {status} (logs/{LOG})" if status else ""


def _ended(pid: int, within_s: float) -> bool:
    """Not collected yet, so that its number still names its group."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    descriptor = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(within_s * 1e3))
    finally:
        os.close(descriptor)


def _kill(popen: subprocess.Popen[bytes]) -> None:
    """It, and what is left of its group."""
    if sys.platform == "win32":
        raise AssertionError("only Linux runs nodes")
    if popen.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
