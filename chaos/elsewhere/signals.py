"""SIGINT and SIGTERM while a run is elsewhere: before a harness stands there they end this command, afterwards they are the run's."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chaos.core.errors import Interrupted
from chaos.elsewhere.frames import SIGNAL

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from chaos.elsewhere.channel import Channel

LET_GO_AT: Final = 3
"""So many Ctrl-C end the command itself; the run there then ends by itself."""


@contextmanager
def obeyed_at_once() -> Iterator[None]:
    """``Interrupted`` in the block for the first one that comes, so that what was made there is removed on the way out; further ones
    change nothing. By default SIGTERM would leave everything behind. Only the main thread may have handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def obey(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) == 1:
            raise Interrupted(number)

    before = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Signals:
    """SIGINT and SIGTERM are meant for the run, which is elsewhere: passed on, not obeyed here; the third one is."""

    def __init__(self) -> None:
        self._arrived: list[int] = []
        self._passed = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(number)
        if len(self._arrived) >= LET_GO_AT:
            raise KeyboardInterrupt

    def pass_on(self, channel: Channel) -> None:
        """What has come since the last time."""
        for number in self._arrived[self._passed :]:
            channel.send(SIGNAL, str(number).encode())
            self._passed += 1
