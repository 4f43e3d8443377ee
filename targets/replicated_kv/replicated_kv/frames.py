"""Frames on disk: length, check sum, JSON. A file is a row of them; what a crash tore off at its end is recognised and dropped.

    length u32 · crc32 u32 (of length and payload) · payload          little-endian

One group commit is one frame, so whatever order the pages of a torn write reached the disk in, it is the last frame that is torn.
"""

from __future__ import annotations

import json
import struct
import zlib

HEADER = struct.Struct("<II")


class Damaged(Exception):
    """A frame in the middle of a file is not what was written: the log must not be trusted, and is not."""


def pack(value: object) -> bytes:
    """One frame."""
    payload = json.dumps(value, separators=(",", ":")).encode()
    return HEADER.pack(len(payload), _sum(len(payload), payload)) + payload


def unpack(data: bytes, name: str, torn_tail: bool) -> tuple[list[object], int]:
    """The values of the frames, and where the last whole frame ends. A torn tail is dropped if ``torn_tail``, else ``Damaged``."""
    values: list[object] = []
    at = 0
    while at < len(data):
        end, payload = _frame(data, at)
        if payload is None:
            # A length that was never written may point anywhere; a whole file behind the frame means that it was not the last.
            if torn_tail and (end >= len(data) or not data[at:].strip(b"\0")):
                return values, at
            raise Damaged(f"{name}: the frame at byte {at} is damaged, and it is not the end of the log")
        values.append(json.loads(payload))
        at = end
    return values, at


def _frame(data: bytes, at: int) -> tuple[int, bytes | None]:
    if at + HEADER.size > len(data):
        return len(data), None
    length, check = HEADER.unpack_from(data, at)
    end = at + HEADER.size + length
    payload = data[at + HEADER.size : end]
    return end, payload if len(payload) == length and _sum(length, payload) == check else None


def _sum(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(length.to_bytes(4, "little")))
