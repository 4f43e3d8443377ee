"""Frames on disk: a mark, length, check sum, JSON. A file is a row of them; torn ends and flipped bits are recognised.

    mark 4 bytes · length u32 · crc32 u32 (of length and payload) · payload          little-endian

One group commit is one frame, so whatever order the pages of a torn write reached the disk in, it is the last frame that is torn. The JSON
is ASCII and the mark is not: after a damaged frame the next mark is the next frame.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import NamedTuple

MARK = b"\xf7\x9eKV"
HEADER = struct.Struct("<4sII")


class Damaged(Exception):
    """What stands on disk is not what was written."""


class Scan(NamedTuple):
    """The frames of a file. ``end``: where the last whole one ends. ``holes``: before how many of the values something is damaged."""

    values: list[object]
    end: int
    holes: list[int]


def pack(value: object) -> bytes:
    """One frame."""
    payload = json.dumps(value, separators=(",", ":")).encode()
    return HEADER.pack(MARK, len(payload), _sum(len(payload), payload)) + payload


def unpack(data: bytes, name: str) -> list[object]:
    """The values of a file that was written as a whole; ``Damaged`` if a bit of it is not as it was."""
    found = scan(data)
    if found.holes or found.end != len(data):
        raise Damaged(f"{name}: the frame at byte {found.end} is damaged" if not found.holes else f"{name}: a frame is damaged")
    return found.values


def scan(data: bytes) -> Scan:
    """All frames that are as they were written, and where something between them is not. A torn end is no hole."""
    values: list[object] = []
    holes: list[int] = []
    at = end = 0
    while at < len(data):
        stop, payload = _frame(data, at)
        if payload is not None:
            values.append(json.loads(payload))
            at = end = stop
            continue
        at = data.find(MARK, at + 1)
        # Nothing whole behind it: the last frame, which a crash tore.
        while at >= 0 and _frame(data, at)[1] is None:
            at = data.find(MARK, at + 1)
        if at < 0:
            break
        holes.append(len(values))
    return Scan(values, end, holes)


def _frame(data: bytes, at: int) -> tuple[int, bytes | None]:
    if at + HEADER.size > len(data):
        return len(data), None
    mark, length, check = HEADER.unpack_from(data, at)
    end = at + HEADER.size + length
    payload = data[at + HEADER.size : end]
    return end, payload if mark == MARK and len(payload) == length and _sum(length, payload) == check else None


def _sum(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(length.to_bytes(4, "little")))
