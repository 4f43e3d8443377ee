"""The node agent: PID 1 of a node's process namespace and owner of its network namespace. Standard library only.

The system's container joins both namespaces, so rules are in place before its first packet and survive its restart, and a
signal sent from here is a crash *inside* the node: the engine's own restart policy still acts on it.

    harness  --stdin-->   {"id": 7, "do": "kill", "signal": 9}          one JSON object a line
             <--stdout--  {"id": 7, "at_ns": 81234567890}               every answer with this machine's CLOCK_MONOTONIC
             <--stdout--  {"event": "down", "at_ns": ..., "pid": 23}    what happens by itself: up, down, orphaned, child_died

Commands: ``ping``, ``status``, ``kill``, ``pause``, ``resume``, ``nft``, ``spawn``, ``ask``, and ``PART.VERB`` for what few runs need: the
function ``do_VERB(agent, command)`` of ``agent_parts/PART.py``, loaded at its first use. Every command is also a sign of life of the
harness: when none has come for ``NINES_ORPHAN_AFTER_S``, the agent heals its namespace by itself (no packet rules, nothing frozen, no
toxics, and what ``heal(agent)`` of each loaded part takes back) and does nothing more. It is never a fault's victim: itself and its own
children are left out of every signal.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chaos.agent.agent_clock import clock_name
    from chaos.agent.agent_processes import Processes
    from chaos.agent.agent_questions import asked
    from chaos.agent.agent_rules import TABLE, Nft, Refused
else:
    sys.path.append(str(Path(__file__).parent))  # they stand beside this file, and the interpreter looks nowhere by itself
    from agent_clock import clock_name
    from agent_processes import Processes
    from agent_questions import asked
    from agent_rules import TABLE, Nft, Refused

DEATH_WITHIN_S: Final = 12.0
LOOK_EVERY_S: Final = 0.01
CALM_EVERY_S: Final = 0.25
Message = dict[str, Any]


class Agent:
    """Reads commands, answers them, tells what happens by itself."""

    def __init__(self, orphan_after_s: float, *, has_system: bool = True, ends_with_input: bool = False) -> None:
        self._orphan_after_s = orphan_after_s
        self._ends_with_input = ends_with_input
        """It is one process among others: nobody removes a container to end it."""
        self.left = False
        """Nothing of ours is in its namespace any more."""
        self._has_system = has_system
        """Whether a system will ever join; where clients or the name server stand, to look for one would cost a core's hundredth."""
        self._nft = Nft()
        self.processes = Processes()
        self._parts: dict[str, ModuleType] = {}
        self._children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._toxiproxy_port: int | None = None
        self._killed_ns: int | None = None
        """When SIGKILL went to the main process that is there: nothing of it has run since, though its end is told milliseconds later."""
        self._heard_s = time.monotonic()
        self._orphaned = False
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._stdin_open = True
        self._telling = threading.Lock()

    def run(self) -> None:
        """Until SIGTERM: as PID 1 we end only when the engine says so, whatever becomes of the harness.

        One that ends with its input does so once nothing of ours is left.
        """
        os.set_blocking(0, False)
        self._selector.register(0, selectors.EVENT_READ, "stdin")
        self._tell({"event": "hello", "at_ns": time.monotonic_ns(), "pid": os.getpid(), "clock": clock_name()})
        while True:
            # While no main process is known we look for it often: its start is stamped by us, not by the engine's event.
            calm = self.processes.main is not None or not self._has_system
            wait_s = CALM_EVERY_S if calm else LOOK_EVERY_S
            for key, _ in self._selector.select(wait_s):
                if key.data == "stdin":
                    self._read()
                elif key.data == "main":
                    self._main_died(time.monotonic_ns())
            self._reap()
            self._look()
            if not self._orphaned and time.monotonic() - self._heard_s > self._orphan_after_s:
                self._heal_alone()
            if self._ends_with_input and not self._stdin_open and (self._orphaned or self.left):
                return

    # --- what happens by itself ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        pid = self.processes.look() if self._has_system else None
        if pid is not None:
            assert self.processes.main_fd is not None
            self._selector.register(self.processes.main_fd, selectors.EVENT_READ, "main")
            self._killed_ns = None
            self._tell({"event": "up", "at_ns": time.monotonic_ns(), "pid": pid})
            for part in self._parts.values():
                if hasattr(part, "up"):
                    part.up(self)

    def _main_died(self, seen_ns: int) -> int:
        """The time of its death."""
        assert self.processes.main_fd is not None
        self._selector.unregister(self.processes.main_fd)
        at_ns, self._killed_ns = self._killed_ns or seen_ns, None
        for part in self._parts.values():
            if hasattr(part, "down"):
                part.down(self)
        self._tell({"event": "down", "at_ns": at_ns, "pid": self.processes.lost()})
        return at_ns

    def _reap(self) -> None:
        """PID 1 inherits every orphan; nobody else will collect them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.processes.own.discard(pid)
            if pid in self._children:
                name, child = self._children.pop(pid)
                child.returncode = os.waitstatus_to_exitcode(status)
                self._tell({"event": "child_died", "at_ns": time.monotonic_ns(), "child": name, "status": status})

    def _heal_alone(self) -> None:
        self._orphaned = True
        problems: list[str] = []
        try:
            self._nft.apply([f"delete table {TABLE}", f"add table {TABLE}"])  # an empty one: what is read back must be there
        except Refused as refused:
            problems.append(str(refused))
        self._signal_all(signal.SIGCONT)
        if self._toxiproxy_port is not None:
            import http.client

            connection = http.client.HTTPConnection("127.0.0.1", self._toxiproxy_port, timeout=3)
            try:
                connection.request("POST", "/reset")
                connection.getresponse().read()
            except OSError as error:
                problems.append(f"toxiproxy: {error}")
            finally:
                connection.close()
        for part in self._parts.values():
            problems += part.heal(self)
        self._tell({"event": "orphaned", "at_ns": time.monotonic_ns(), "problems": problems})

    # --- commands ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            data = os.read(0, 65536)
        except BlockingIOError:
            return
        if not data:
            # The harness, or only its attachment, is gone; the time limit decides which.
            self._selector.unregister(0)
            self._stdin_open = False
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in filter(None, lines):
            self._heard_s = time.monotonic()
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        number: object = None
        try:
            command = json.loads(line)
            number = command.get("id")
            answer = self._carry_out(command)
            if answer is None:
                return  # it answers by itself, later
            answer.setdefault("at_ns", time.monotonic_ns())
        except (Refused, OSError, ValueError, KeyError) as error:
            answer = {"error": f"{type(error).__name__}: {error}", "at_ns": time.monotonic_ns()}
        self._tell({"id": number, **answer})

    def _carry_out(self, command: Message) -> Message | None:
        part, _, verb = command["do"].rpartition(".")
        own = getattr(self if not part else self._part(part), f"do_{verb}", None)
        if own is None:
            raise Refused(f"no command '{command['do']}'")
        answer: Message | None = own(self, command) if part else own(command)
        return answer

    def _part(self, name: str) -> ModuleType:
        if name not in self._parts:
            try:
                self._parts[name] = importlib.import_module(f"agent_parts.{name}")
            except ModuleNotFoundError as error:
                raise Refused(f"no part '{name}'") from error
        return self._parts[name]

    def later(self, number: object, work: Callable[[], Message]) -> None:
        """For a part: do it in a thread, since it may take long, and answer this command with what it returns."""

        def do() -> None:
            try:
                answer = work()
            except (Refused, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            self._tell({"id": number, "at_ns": time.monotonic_ns(), **answer})

        threading.Thread(target=do, daemon=True).start()

    def adopt(self, name: str, child: subprocess.Popen[bytes]) -> None:
        """For a part: a process that it started; out of reach of every signal, collected by us, its end told as ``child_died``."""
        self.processes.own.add(child.pid)
        # Kept whole: a Popen that is dropped waits for its process by itself, and its death would be told to nobody.
        self._children[child.pid] = (name, child)

    def do_ping(self, _: Message) -> Message:
        """The time here, for mapping clocks."""
        return {"at_ns": time.monotonic_ns()}

    def do_status(self, _: Message) -> Message:
        """What the system's processes do."""
        self._look()
        return {"state": self.processes.state(), "main": self.processes.main, "pids": self.processes.all()}

    def do_kill(self, command: Message) -> Message:
        """Signal every process of the system; with ``wait``, answer with the time its main process was dead."""
        number = signal.Signals(command["signal"])
        self._look()
        main_fd = self.processes.main_fd
        if main_fd is None:
            raise Refused("no process of the system runs")
        self._signal_all(number)
        if number is signal.SIGKILL:
            self._killed_ns = time.monotonic_ns()
        if not command.get("wait", True):
            return {}
        with selectors.DefaultSelector() as dying:
            dying.register(main_fd, selectors.EVENT_READ)
            if not dying.select(command.get("within_s", DEATH_WITHIN_S)):
                raise Refused(f"still alive {command.get('within_s', DEATH_WITHIN_S)} s after {number.name}")
        return {"at_ns": self._main_died(time.monotonic_ns())}

    def do_pause(self, _: Message) -> Message:
        """Freeze every process; answers when the kernel shows all of them stopped."""
        self._signal_all(signal.SIGSTOP)
        self._until("paused")
        return {}

    def do_resume(self, _: Message) -> Message:
        """Let every process go on."""
        self._signal_all(signal.SIGCONT)
        if self.processes.main is not None:
            self._until("up")
        return {}

    def do_nft(self, command: Message) -> Message:
        """Carry out commands on our table as one transaction; the answer holds the table read back."""
        asked_ns = time.monotonic_ns()
        table, at_ns = self._nft.apply(list(command["commands"]))
        if self._nft.pid is not None:
            self.processes.own.add(self._nft.pid)
        return {"table": table, "asked_ns": asked_ns, "at_ns": at_ns}

    def do_spawn(self, command: Message) -> Message:
        """Start a child of ours (Toxiproxy) under a uid of its own, so that rules can tell its packets from the system's."""
        log = Path(command["log"]).open("ab")  # noqa: SIM115 - handed to the child
        child = subprocess.Popen(command["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=command.get("uid"))
        log.close()
        self.adopt(command["name"], child)
        self._toxiproxy_port = command.get("toxiproxy_port", self._toxiproxy_port)
        return {"pid": child.pid}

    def do_ask(self, command: Message) -> None:
        """One question to another node from inside this namespace; answered by a thread, since it may take its whole time-out."""
        threading.Thread(target=self._ask, args=(command,), daemon=True).start()

    def _ask(self, command: Message) -> None:
        more = command.get("expect"), command.get("tls", False)
        answer = asked(command["host"], command["port"], command["request"], command["within_s"], *more)
        self._tell({"id": command["id"], **answer})

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self.processes.all():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _until(self, state: str) -> None:
        deadline_s = time.monotonic() + 1.0
        while self.processes.state() != state:
            if time.monotonic() > deadline_s:
                raise Refused(f"the system is {self.processes.state()}, not {state}")
            time.sleep(0.0002)

    def _tell(self, message: Message) -> None:
        data = (json.dumps(message, separators=(",", ":")) + "\n").encode()
        # A harness that is gone leaves nobody to tell; the time limit does the rest.
        with self._telling, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(1, data) :]


def end(_number: int, _frame: object) -> None:
    """The engine stops us: the namespace goes with us."""
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Agent(
        float(os.environ.get("NINES_ORPHAN_AFTER_S", "15")), has_system="NINES_NO_SYSTEM" not in os.environ,
        ends_with_input="NINES_ENDS_WITH_INPUT" in os.environ,
    ).run()  # fmt: skip
