"""A way to an engine's socket that can fail as networks do: from some instant on nothing arrives any more, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

_CHUNK: Final = 65536


class Relay:
    """Listens at ``path`` while the block lasts, and hands on what comes in both directions."""

    def __init__(self, engine: Path, path: Path) -> None:
        self.path = path
        self._engine = engine
        self._lost = threading.Event()
        self._open: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Relay:
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for each in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def lose_everything(self) -> None:
        """From now on; connections stay as they are, and new ones get no answer."""
        self._lost.set()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed: the block is over
            while True:
                here, _ = self._listening.accept()
                there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                there.connect(str(self._engine))
                self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(_CHUNK):
                if self._lost.is_set():
                    return
                other.sendall(data)
            if not self._lost.is_set():
                other.shutdown(socket.SHUT_WR)
