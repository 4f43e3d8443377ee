"""One child process of a run on this machine, and the thread that sees them die.

Each child leads a session of its own, so that a signal reaches all of it and a Ctrl-C at the terminal none of it. Deaths are
seen through pidfds: the stamp is taken when the kernel says that the whole process, its sockets closed, is gone.

A pid is safe to signal only while its status has not been collected; sending and collecting therefore share a lock.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import Status
from chaos.registry import processes as proc
from chaos.runtimes.base.account import Account

Died = Callable[["Child"], None]
KILL_WITHIN_S = 5.0


class Child:
    """A started process. ``died_ns`` and ``exit_code`` are set once it is dead."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        log: Path,
        clock: Clock,
        *,
        talks: bool = False,
        inherits: Sequence[int] = (),
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.died_ns: int | None = None
        self.exit_code: int | None = None
        self.commanded = False
        """Set before we end it: its death is then no surprise."""
        self._clock = clock
        self._lock = threading.Lock()
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as out:
            try:
                self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                    list(command), stdin=pipe or subprocess.DEVNULL, stdout=pipe or out, stderr=out,
                    env=dict(env), cwd=folder, start_new_session=True, pass_fds=inherits,
                    **(account.options() if account is not None else {}),
                )  # fmt: skip
            except OSError as error:
                who = f" as the user {account.name}" if account is not None else ""
                remedy = "let that user execute it" if who and isinstance(error, PermissionError) else "install it or put it on PATH"
                raise EnvironmentUnusable(
                    f"cannot start {name}{who}: {command[0]}: {error.strerror}", how=f"{remedy}; the command is: {' '.join(command)}"
                ) from error
        self.started_ns = clock.now_ns()

    @property
    def pid(self) -> int:
        """Its number; also that of its session and process group."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Only of a child that talks."""
        assert self._popen.stdin is not None, "a child that does not talk"
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Only of a child that talks."""
        assert self._popen.stdout is not None, "a child that does not talk"
        return self._popen.stdout

    def lines(self) -> Iterator[bytes]:
        """What a child that talks says, line by line, until it ends; a last line that its death tore has no end."""
        yield from self.stdout

    def tell(self, line: bytes) -> bool:
        """One line to the standard input of a child that talks; false if it is dead, or was asked to end."""
        try:
            self.stdin.write(line + b"\n")
            self.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def end_input(self) -> None:
        """A child that talks sees the end of its input."""
        if not self.stdin.closed:
            self.stdin.close()

    def status(self) -> Status:
        """By the word of the kernel."""
        seen = None if self.died_ns is not None else proc.stat(self.pid)
        if seen is None or seen.gone:
            return Status.DOWN
        return Status.PAUSED if seen.stopped else Status.UP

    def send(self, number: int) -> bool:
        """Signal the whole process group; false if the child is dead."""
        with self._lock:
            if self._popen.returncode is not None:
                return False
            os.killpg(self.pid, number)
            return True

    def pidfd(self) -> int | None:
        """A descriptor that becomes readable when it dies, owned by the caller; None if it is dead and collected."""
        with self._lock:
            return None if self._popen.returncode is not None else os.pidfd_open(self.pid)

    def wait_dead(self, pidfd: int, within_s: float) -> int | None:
        """The time of its death as seen here, or None if it lives on."""
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return self._clock.now_ns() if poller.poll(within_s * 1e3) else None

    def wait_end(self, within_s: float, then: Died) -> bool:
        """Wait for its death and collect it; false if it lives on."""
        fd = self.pidfd()
        if fd is None:
            return True
        try:
            died_ns = self.wait_dead(fd, within_s)
        finally:
            os.close(fd)
        if died_ns is None:
            return False
        self.collect(died_ns, then)
        return True

    def collect(self, died_ns: int, then: Died) -> None:
        """Take note of its death, once, whoever sees it first; ``then`` has returned before any later caller goes on."""
        with self._lock:
            if self.died_ns is not None or self._popen.poll() is None:
                return
            self.died_ns = died_ns
            self.exit_code = self._popen.returncode
            then(self)

    def unheard(self) -> str:
        """Between us and a child of ours stands nobody."""
        return ""

    def how_it_ended(self) -> str:
        """``exit status 1`` or ``SIGKILL``."""
        code = self.exit_code
        if code is None:
            return "running"
        return f"exit status {code}" if code >= 0 else signal.Signals(-code).name

    def close(self) -> None:
        """Close the pipes; a helper sees the end of its input."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # the other end is dead: what was still buffered is for nobody


class Reaper:
    """One thread that waits for the death of any child."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._watched: dict[int, tuple[Child, Died]] = {}
        self.failure = ""
        """Why it can no longer see deaths; empty while it can."""
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)
        self._thread.start()

    def watch(self, child: Child, then: Died) -> None:
        """From now on its death is seen; ``then`` is called once, by whoever collects it."""
        fd = child.pidfd()
        assert fd is not None, "a child is watched before anybody can collect it"
        self._watched[fd] = (child, then)
        self._epoll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Stop watching. The children must be dead by then, or their deaths are seen by nobody."""
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        for fd in self._watched:
            os.close(fd)
        self._epoll.close()
        os.close(self._wake)

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        except Exception as error:
            self.failure = f"the reaper failed: {error!r}"

    def _serve(self) -> bool:
        for fd, _ in self._epoll.poll():
            seen_ns = self._clock.now_ns()
            if fd == self._wake:
                return False
            child, then = self._watched.pop(fd)
            self._epoll.unregister(fd)
            os.close(fd)
            child.collect(seen_ns, then)
        return True


def end_all(ends: Sequence[tuple[Child, Died]], grace_s: float, clock: Clock) -> list[Child]:
    """SIGTERM to all at once, SIGKILL to those that are still there after ``grace_s``; returns what even that did not end."""
    waiting = [(child, then, fd) for child, then in ends if (fd := child.pidfd()) is not None]
    try:
        for child, _, _ in waiting:
            child.commanded = True
            child.send(signal.SIGTERM)
            child.send(signal.SIGCONT)  # a frozen one cannot act on SIGTERM
        left = _await_deaths(waiting, grace_s, clock)
        for child, _, _ in left:
            child.send(signal.SIGKILL)
        return [child for child, _, _ in _await_deaths(left, KILL_WITHIN_S, clock)]
    finally:
        for _, _, fd in waiting:
            os.close(fd)


_Waiting = list[tuple[Child, Died, int]]


def _await_deaths(waiting: _Waiting, within_s: float, clock: Clock) -> _Waiting:
    until_ns = clock.now_ns() + to_ns(within_s)
    left = []
    for child, then, fd in waiting:
        died_ns = child.wait_dead(fd, max(0.0, to_s(until_ns - clock.now_ns())))
        if died_ns is None:
            left.append((child, then, fd))
        else:
            child.collect(died_ns, then)
    return left
