"""The way from ``nines inject`` to the harness that has a cluster up: a socket beside the run's record.

    inject  -> {"kind": "pause", "to": "n2", "for": "10s", "fields": {}}        one line: the order
            <- {"row": {...}}                                                      as it happens
            <- {"done": {...}}   or   {"refused": "...", "exit_code": 2}           the end

The harness carries it out itself, with its own undo log: if ``inject`` dies or closes its side, the fault is healed at once; if the
harness dies, what it left is found by its record, as after any run.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.history.events import Row
from chaos.run.manual.injection import ByHand

ACCEPT_EVERY_S: Final = 0.1
ORDER_WITHIN_S: Final = 5.0
_MOST: Final = 1 << 20


class HandOrder(msgspec.Struct, frozen=True, rename={"lasts": "for"}):
    """One fault, as it was written on the command line."""

    kind: str
    to: str
    lasts: str
    fields: dict[str, str] = {}


class Refusal(msgspec.Struct, frozen=True):
    """It was not begun."""

    refused: str
    exit_code: int


class Step(msgspec.Struct, frozen=True):
    """Something has happened."""

    row: Row


class Done(msgspec.Struct, frozen=True):
    """It is over."""

    done: ByHand


def socket_of(state: Path, run: str) -> Path:
    """Where the harness of that run takes orders, if it does."""
    return state / "runs" / f"{run}.sock"


# --- the harness's side ------------------------------------------------------------------------------------------------


class Orders:
    """Takes one order at a time; whoever comes meanwhile waits his turn."""

    _listening: socket.socket

    def __init__(self, path: Path) -> None:
        self._path = path
        if sys.platform != "linux":
            raise AssertionError("only Linux runs nodes")
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        # Who may write there may break the cluster: nobody else may, not even for a moment.
        before = os.umask(0o177)
        try:
            with _near(path) as near:
                self._listening.bind(near)
        finally:
            os.umask(before)
        self._listening.listen(8)

    def next(self) -> Caller | None:
        """Who calls, if anybody does within a moment."""
        if not select.select([self._listening], [], [], ACCEPT_EVERY_S)[0]:
            return None
        connection, _ = self._listening.accept()
        if not may_order(_user_of(connection)):
            connection.close()
            return None
        return Caller(connection)

    def close(self) -> None:
        """Nobody is heard any more."""
        self._listening.close()
        self._path.unlink(missing_ok=True)


def may_order(user: int) -> bool:
    """Whoever started the cluster, and root, who could end it anyhow."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    return user in (os.geteuid(), 0)


def _user_of(connection: socket.socket) -> int:
    """Who is at the other end, by the kernel's word (``SO_PEERCRED``, unix(7))."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user)


class Caller:
    """One ``nines inject``."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._gone = False

    def order(self) -> HandOrder | None:
        """What is asked; None if that is no order."""
        self._connection.settimeout(ORDER_WITHIN_S)
        try:
            line = next(_lines(self._connection), b"")
            return msgspec.json.decode(line, type=HandOrder)
        except (OSError, msgspec.DecodeError):
            return None

    def wants_end(self) -> bool:
        """It closed its side, or is gone: whoever asked does not want the fault any more."""
        if not self._gone and select.select([self._connection], [], [], 0)[0]:
            try:
                self._gone = not self._connection.recv(4096)
            except OSError:
                self._gone = True
        return self._gone

    def tell(self, answer: Step | Done | Refusal) -> None:
        """What has happened; to one that is gone nothing can be told, and it ends the fault."""
        try:
            self._connection.sendall(msgspec.json.encode(answer) + b"\n")
        except OSError:
            self._gone = True

    def close(self) -> None:
        """The end."""
        self._connection.close()


# --- the caller's side -------------------------------------------------------------------------------------------------


def call(path: Path, order: HandOrder, on_row: Callable[[Row], None], end_now: Callable[[], bool]) -> ByHand | Refusal:
    """Have it done; ``end_now`` is asked all the time. ``EnvironmentUnusable`` if the harness takes no orders, or dies meanwhile."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        try:
            with _near(path) as near:
                connection.connect(near)
        except OSError as error:
            raise EnvironmentUnusable(
                f"the harness of '{path.stem}' takes no orders ({error.strerror})",
                how="only a cluster of 'nines up' does: in a run that is measured, a fault by hand would spoil what it measures",
            ) from error
        with contextlib.suppress(BrokenPipeError):  # it went in this very moment: the end of what it says is seen below
            connection.sendall(msgspec.json.encode(order) + b"\n")
        asked_to_end = False
        buffer = b""
        while True:
            if end_now() and not asked_to_end:
                connection.shutdown(socket.SHUT_WR)
                asked_to_end = True
            if not select.select([connection], [], [], ACCEPT_EVERY_S)[0]:
                continue
            try:
                data = connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise EnvironmentUnusable(f"the harness of '{path.stem}' is gone", how="'nines leftovers' says what it left")
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                answer = _answer(line)
                if isinstance(answer, Step):
                    on_row(answer.row)
                else:
                    return answer.done if isinstance(answer, Done) else answer


def _answer(line: bytes) -> Step | Done | Refusal:
    if line.startswith(b'{"row"'):
        return msgspec.json.decode(line, type=Step)
    return msgspec.json.decode(line, type=Done) if line.startswith(b'{"done"') else msgspec.json.decode(line, type=Refusal)


def _lines(connection: socket.socket) -> Iterator[bytes]:
    buffer = b""
    while len(buffer) < _MOST and (data := connection.recv(65536)):
        *lines, buffer = (buffer + data).split(b"\n")
        yield from lines


@contextmanager
def _near(path: Path) -> Iterator[str]:
    """A name that is short enough for a socket, however deep the folder lies."""
    if sys.platform != "linux":
        raise AssertionError("only Linux runs nodes")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
