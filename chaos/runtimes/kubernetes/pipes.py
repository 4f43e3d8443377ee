"""The standard streams of a child of ours, as an agent's link needs them."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from chaos.runtimes.base.agents.streams import STDERR, STDOUT

CHUNK: Final = 65536
END_WITHIN_S: Final = 5.0


class Pipes:
    """One child. One thread may read while others write; ``close`` wakes the reader, and ends the child's input."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._streams = {self._child.stdout.fileno(): STDOUT, self._child.stderr.fileno(): STDERR}
        self._into = self._child.stdin
        self._wake, self._woken = os.pipe()
        self._poll = select.poll()
        for fd in (*self._streams, self._wake):
            self._poll.register(fd, select.POLLIN)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def read(self, within_s: float) -> list[tuple[int, bytes]] | None:
        """(stream, data) of all that has come, an empty list if nothing did in time; None when there will be no more."""
        found = []
        for fd, _ in self._poll.poll(within_s * 1e3):
            if fd == self._wake:
                return None
            data = os.read(fd, CHUNK)
            if data:
                found.append((self._streams[fd], data))
                continue
            self._poll.unregister(fd)
            if self._streams.pop(fd) == STDOUT:
                return found or None
        return found if STDOUT in self._streams.values() else None

    def write(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone. Callers take turns."""
        try:
            self._into.write(data)
            self._into.flush()
        except ValueError as error:
            raise OSError("it was let go") from error

    def close(self) -> None:
        """Detach: it sees the end of its input, and ends."""
        os.write(self._woken, b".")
        with contextlib.suppress(OSError):
            self._into.close()

    def end(self) -> None:
        """Gone when it returns, with all its children."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(END_WITHIN_S)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, 9)
        self._child.wait()
