"""The process of a driver, and what is under way in it: one JSON object a line each way (``probes/driver``).

It is killed at the end. When it dies by itself, what was under way is unknown and it is started again, at most twice a second; a slot that
finds no driver is ``UNSENT``: that is our side's failure. One that ends before it has answered anything is no driver: the prober ends then,
with its last line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from typing import Annotated, Final

import msgspec

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.history.observations import Outcome, Why
from chaos.traffic.probe import Slot

START_AGAIN_S: Final = 0.5
LIVES_S: Final = 0.4
"""So long traffic waits for a driver to show that it stays: most that cannot run have ended by then."""
LOOK_S: Final = 0.02
LAST_WORDS: Final = 300
KEPT_BYTES: Final = 4096
_WAITING_BYTES: Final = 1 << 20
"""What a driver may leave unread before slots find it unable."""
_OUTCOMES: Final = {"ok": (Outcome.OK, Why.NONE), "fail": (Outcome.FAIL, Why.ERROR), "unknown": (Outcome.UNKNOWN, Why.ERROR)}


class Ask(msgspec.Struct):
    """One line to a driver."""

    id: int
    op: str
    address: str
    key: str
    value: str
    timeout_s: float


class Answered(msgspec.Struct):
    """One line from a driver; further fields are its own business."""

    id: int
    outcome: str
    value: str | int | float | bool | list[str | int] | None = None
    """What a read found; null: nothing. A list is that of an operation that does append, or the members of a set."""
    status: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0


_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Answered).decode


class Under:
    """One attempt under way in a driver."""

    __slots__ = ("_driver", "_id", "slot")

    def __init__(self, driver: Driver, number: int, slot: Slot) -> None:
        self._driver = driver
        self._id = number
        self.slot = slot

    def cut(self) -> bool:
        """Forget it: a driver keeps the time-out by itself. What reached it may have been done."""
        self._driver.forget(self._id)
        return True


class Driver:
    """The process, and what is under way in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, command: list[str], folder: str) -> None:
        self._loop = loop
        self._command = command
        self._folder = folder
        self._under: dict[int, Under] = {}
        self._last = 0
        self._answers = False
        """It has answered something: it is a driver, and may die."""
        self._begun = False
        """It has shown that it stays; from now on traffic may come."""
        self._errors = b""
        """The end of what it wrote on its standard error."""
        self._out = b""
        self._partial = b""
        self._again: asyncio.TimerHandle | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except OSError as error:
            raise BadInput(f"the driver {shlex.join(command)} does not start: {error}") from error

    def ask(self, slot: Slot, op: str, key: str, value: str, timeout_s: float) -> None:
        """Send one operation."""
        if self._process is None or len(self._out) > _WAITING_BYTES:
            slot.end(Outcome.UNSENT, Why.NONE)
            return
        self._last += 1
        under = Under(self, self._last, slot)
        self._under[self._last] = under
        slot.carrier = under
        waiting = bool(self._out)
        self._out += _ENCODE(Ask(self._last, op, slot.address, key, value, timeout_s)) + b"\n"
        if not waiting:
            self._write()

    async def lives(self, ready_s: float = 0.0) -> None:
        """Returns when it has lived for a moment, or has said so within ``ready_s`` s; ``EnvironmentUnusable`` if it ended or did not."""
        until = self._loop.time() + (ready_s or LIVES_S)
        while self._loop.time() < until and self._process is not None and not self._answers:
            if self._process.poll() is not None:
                await asyncio.sleep(LOOK_S)  # its last words may still be in the pipe
                break
            await asyncio.sleep(LOOK_S)
        if not self._answers and (self._process is None or self._process.poll() is not None):
            raise self._no_driver()
        if ready_s and not self._answers:
            raise EnvironmentUnusable(
                f"the driver {shlex.join(self._command)} did not say within {ready_s:g} s that it is ready",
                how='it writes {"id": 0, "outcome": "ok"} once it is connected; logs/prober.log has what it complained of',
            )
        self._begun = True

    def _no_driver(self) -> EnvironmentUnusable:
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        said = f"; it said: {lines[-1][:LAST_WORDS]}" if lines else ", and said nothing"
        return EnvironmentUnusable(
            f"the driver {shlex.join(self._command)} ended before it answered anything{said}",
            how="a driver reads one line for each operation, and lives until its input ends",
        )

    def forget(self, number: int) -> None:
        """The attempt was cut; its answer, should one come, means nothing."""
        self._under.pop(number, None)

    def close(self) -> None:
        """Kill it and all it started."""
        if self._again is not None:
            self._again.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        self._unhook(process)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # gone by itself
        finally:
            process.wait()

    def _start(self) -> None:
        process = subprocess.Popen(
            self._command,
            cwd=self._folder or None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NINES_NODE": "driver"},
            bufsize=0,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for pipe in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._process = process
        self._out = self._partial = b""
        self._loop.add_reader(process.stderr.fileno(), self._complains, process.stderr.fileno())
        self._loop.add_reader(process.stdout.fileno(), self._readable)

    def _start_again(self) -> None:
        """As long as it does not start, slots are unsent, and the log says why."""
        self._again = None
        try:
            self._start()
        except OSError as error:
            print(f"prober: the driver {shlex.join(self._command)} does not start again: {error}", file=sys.stderr)
            self._again = self._loop.call_later(START_AGAIN_S, self._start_again)

    def _unhook(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._complains(process.stderr.fileno())
        self._loop.remove_reader(process.stderr.fileno())
        self._loop.remove_reader(process.stdout.fileno())
        self._loop.remove_writer(process.stdin.fileno())
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()

    def _complains(self, pipe: int) -> None:
        """What it writes on its standard error goes on to ours, which is a log of the run."""
        try:
            data = os.read(pipe, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(pipe)
            return
        self._errors = (self._errors + data)[-KEPT_BYTES:]
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), data)  # a full disk takes no log: no reason to end the traffic

    def _died(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._unhook(process)
        process.kill()
        process.wait()
        if self._begun and not self._answers:
            raise self._no_driver()
        self._again = self._loop.call_later(START_AGAIN_S, self._start_again)
        lost, self._under = self._under, {}
        for under in lost.values():
            under.slot.end(Outcome.UNKNOWN, Why.CLOSED)

    def _write(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        try:
            sent = os.write(pipe, self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._loop.call_soon(self._died)
            return
        self._out = self._out[sent:]
        if self._out:
            self._loop.add_writer(pipe, self._write)
        else:
            self._loop.remove_writer(pipe)

    def _readable(self) -> None:
        if self._process is None:
            return
        assert self._process.stdout is not None
        try:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._died()
            return
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            if line.strip():
                self._answered(line)

    def _answered(self, line: bytes) -> None:
        try:
            answer = _DECODE(line)
        except msgspec.MsgspecError:
            self._died()  # it does not speak the protocol: nothing more it says can be believed
            return
        self._answers = True
        under = self._under.pop(answer.id, None)
        if under is not None:
            under.slot.status = answer.status
            under.slot.answer = _ENCODE(answer.value)
            under.slot.end(*_OUTCOMES.get(answer.outcome, (Outcome.UNKNOWN, Why.PROTOCOL)))
