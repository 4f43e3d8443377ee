"""What our helper processes (name server, role watch) share: a spec in, rows out, and an end when the harness is gone.

A helper reads its standard input to notice its end: when the process that started it dies, however it dies, the pipe closes and
the helper ends by itself. So it can never be left over. What comes before the end are orders, one a line, to a helper that takes any.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from chaos.core.errors import BadInput, NinesError
from chaos.core.priority import short_slices

Spec = TypeVar("Spec")
_ENCODER = msgspec.json.Encoder()


class Rows:
    """Writes rows to a stream, each in the kernel's hands before ``put`` returns; ``BrokenPipeError`` when the reader is gone."""

    def __init__(self, stream: IO[bytes] | None = None) -> None:
        self._stream = stream if stream is not None else os.fdopen(1, "wb", buffering=0, closefd=False)

    def ready(self) -> None:
        """The first line: the helper does its work from now on."""
        self._write(b'{"ready":true}\n')

    def put(self, row: msgspec.Struct) -> None:
        """One row."""
        self._write(_ENCODER.encode(row) + b"\n")

    def _write(self, line: bytes) -> None:
        self._stream.write(line)
        self._stream.flush()


class Orders:
    """Lines from standard input, handed to whoever takes them, in the helper's own loop; until then they wait."""

    def __init__(self) -> None:
        self._take: Callable[[bytes], None] | None = None
        self._waiting: list[bytes] = []
        self._rest = b""

    def taken_by(self, take: Callable[[bytes], None]) -> None:
        """From now on each line goes there, those that have waited first."""
        self._take = take
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            take(line)

    def feed(self, data: bytes) -> None:
        """Some bytes of the input."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._take is None:
                self._waiting.append(line)
            else:
                self._take(line)


class _Stop(Exception):
    """Ends the task group."""


@asynccontextmanager
async def tasks_until(stop: asyncio.Event) -> AsyncIterator[asyncio.TaskGroup]:
    """Tasks that go on until ``stop`` is set, or until nobody reads our rows any more: the harness is gone then."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
            await stop.wait()
            raise _Stop
    except* (_Stop, BrokenPipeError):
        pass


Work = Callable[[Spec, Rows, asyncio.Event], Awaitable[None]]
"""What a helper does: prints that it is ready, then works until the event is set."""


def run(module: str, arguments: list[str], read: Callable[[bytes], Spec], work: Work[Spec], orders: Orders | None = None) -> int:
    """The whole process. Exit 0 after the end of input, 70 after a bug, else as ``errors.py`` has it; the reason on standard error."""
    try:
        if len(arguments) != 1:
            raise BadInput(f"usage: python -m {module} SPEC.json")
        try:
            spec = read(Path(arguments[0]).read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise BadInput(f"{arguments[0]}: {error}") from error
        short_slices()
        asyncio.run(_until_end_of_input(spec, work, orders))
    except NinesError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 0  # nobody reads our rows any more: the harness is gone
    except Exception:
        traceback.print_exc()
        return NinesError.exit_code
    return 0


async def _until_end_of_input(spec: Spec, work: Work[Spec], orders: Orders | None) -> None:
    """An exception that nobody awaits (in a callback, in a connection's handler) ends the helper too: it must not limp on."""
    stop = asyncio.Event()
    bugs: list[BaseException] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        bugs.append(context.get("exception") or RuntimeError(context["message"]))
        stop.set()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note)
    feed = None if orders is None else (lambda data: loop.call_soon_threadsafe(orders.feed, data))
    call_at_end_of_input(lambda: loop.call_soon_threadsafe(stop.set), on_input=feed)
    await work(spec, Rows(), stop)
    if bugs:
        raise bugs[0]


def call_at_end_of_input(
    then: Callable[[], object], descriptor: int = 0, on_input: Callable[[bytes], object] | None = None
) -> threading.Thread:
    """Call ``then`` from a thread of its own once nothing more can come; a thread serves a pipe, a file and a terminal alike.

    What comes before goes to ``on_input``, in that thread.
    """

    def wait() -> None:
        while data := os.read(descriptor, 4096):
            if on_input is not None:
                on_input(data)
        then()

    thread = threading.Thread(target=wait, name="end-of-input", daemon=True)
    thread.start()
    return thread
