"""What the command here and the harness beside the engine say to each other: frames over one byte stream in each direction.

    kind (1 byte)   length (4 bytes, big-endian)   payload

The stream is the standard input and output of the harness's container, however that is reached, so nothing else is needed of an engine
than to start a container and attach to it. Both sides send ``BEAT`` once a second: silence is how a lost connection is known.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from chaos.engine.ways.dial import Door

BEAT: Final = b"."
# from here to the engine
TICKET: Final = b"T"
"""JSON of a ``Ticket``: what is to be done."""
SIGNAL: Final = b"S"
"""The number of a signal, as text."""
ANSWER: Final = b"A"
"""JSON of an ``Answer`` to a question."""
OBEYED: Final = b"B"
"""JSON of an ``Obeyed``: what came of an errand."""
KEPT: Final = b"K"
"""The run folder is on the disk here: the copy beside the engine may go."""
# in both directions
DATA: Final = b"D"
"""A piece of a tar archive."""
WHOLE: Final = b"W"
"""The archive is whole."""
# from the engine to here
FOUND: Final = b"F"
"""The engine that is meant answers there."""
ROW: Final = b"R"
"""A row of the history, as it stands there."""
NOTE: Final = b"N"
SHOWN: Final = b"O"
"""Text for standard output."""
QUESTION: Final = b"Q"
"""Is it decided? The archive before it is the folder as it is now."""
ERRAND: Final = b"C"
"""JSON of an ``Order``: something is to be done to a machine, which only the user's side may."""
END: Final = b"X"
"""JSON of an ``End``; nothing follows."""

BEAT_EVERY_S: Final = 1.0
LOST_AFTER_S: Final = 8.0
"""So long nothing is heard of the other side, then it counts as gone: with the healing, within the 15 s that agents wait for a harness."""
PIECE_BYTES: Final = 60_000
MOST_BYTES: Final = 64 << 20
_HEAD: Final = struct.Struct(">cI")


class Ticket(msgspec.Struct, frozen=True):
    """What is to be done beside the engine."""

    do: str
    """``run``, ``up``, ``verb``, ``tests`` or ``fetch``."""
    run: str = ""
    folder: str = ""
    """Of the run, beside the engine."""
    inputs: str = ""
    """Where the archive of inputs goes, beside the engine; removed at the end."""
    engine: str = ""
    """The id of the engine that is meant; empty where there is none, but a cluster."""
    argv: tuple[str, ...] = ()
    """Words of a verb, or of pytest."""
    ordered: msgspec.Raw = msgspec.Raw(b"null")
    """JSON of the experiment that is ready to run."""
    images: dict[str, str] = {}
    """Names of images that are on the engine already."""
    environment: dict[str, str] = {}
    doors: dict[str, Door] = {}
    """By host, of a run on several; the harness stands on the first."""
    decides: bool = False
    """The command here answers questions of a run that may stop early."""


class Answer(msgspec.Struct, frozen=True):
    """To ``QUESTION``."""

    decided: bool
    says: str


class End(msgspec.Struct, frozen=True):
    """How it ended."""

    status: int
    error: str = ""
    """The class of the error that it ended with, of ``core.errors``."""
    message: str = ""
    how: str = ""
    unwritten: tuple[msgspec.Raw, ...] = ()
    """Rows that are not in the history, since its disk took no more."""
    waits: bool = False
    """A run folder is still there that nobody has taken."""
    empty: bool = False
    """Nothing is kept beside the engine any more."""


class BadFrames(Exception):
    """The bytes are no frames: whatever speaks there is not ours."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(kind, len(payload)) + payload


class Frames:
    """Cuts a stream of bytes into frames; ``BadFrames`` for one that is larger than any of ours."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The frames that are whole now: kind and payload."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if length > MOST_BYTES:
                raise BadFrames(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            yield kind, payload
