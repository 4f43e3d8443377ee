"""A place that harnesses travel to: this machine, by a process of its own and a folder of its own. Frames, signals and folders are real."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chaos.elsewhere.channel import Channel
from chaos.elsewhere.frames import FOUND, TICKET, Ticket
from chaos.elsewhere.place import Where
from chaos.elsewhere.stand import Stand
from tests.support.paths import ROOT


class Pipes:
    """The standard streams of a child."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._child.stdout, selectors.EVENT_READ, 1)
            waiting.register(self._child.stderr, selectors.EVENT_READ, 2)
            while waiting.get_map():
                for key, _ in waiting.select():
                    data = os.read(key.fd, 65536)
                    if data:
                        yield key.data, data
                    else:
                        waiting.unregister(key.fileobj)

    def sendall(self, data: bytes) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except ValueError as error:
            raise OSError("closed") from error

    def close(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(60)


class NextDoor:
    """``Destination`` and ``Stand``: harnesses are children of this process. ``path``: where they find more modules."""

    errands = None

    def __init__(self, top: Path, path: str = "") -> None:
        self.where = Where(str(top))
        self._path = path

    @contextmanager
    def standing(self, *_: object, held: bool = False) -> Iterator[Stand]:
        yield self

    @contextmanager
    def doing(self, ticket: Ticket, inputs: Mapping[str, Path] | None = None) -> Iterator[Channel]:
        there = {**os.environ, "NINES_STATE": self.where.state, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), self._path]))}
        child = subprocess.Popen(
            [sys.executable, "-m", "chaos.cli.beside"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=there
        )
        channel = Channel(Pipes(child), "next door")
        channel.begin()
        try:
            channel.send(TICKET, msgspec.json.encode(ticket))
            assert next(channel.receive(silent_s=60))[0] == FOUND
            channel.archive(inputs or {})
            yield channel
        finally:
            channel.close()
