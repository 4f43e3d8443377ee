"""``observations.bin``: every slot of every operation is exactly one fixed-width record, written by the prober as slots end.

    header   16 bytes   b"NINESOBS", version u16, record size u16, reserved u32          (little-endian throughout)
    record   36 bytes   due, sent, done in ns i64 · address u32 · operation u16 · outcome, why, attempts, spare u8 · status u16

``status`` is what the last attempt was answered with (307, 503...), 0 without such an answer; files of version 1 have none, and
hold 0 there. ``operation`` is the index in the plan's ``traffic.operations``. ``sent`` is 0 for a slot that was never sent.
``address`` is the IPv4 address of the last attempt as a number, 0 if none. A torn last record is dropped on reading.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.core.errors import HistoryUnreadable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION: Final = 2
READABLE: Final = (1, VERSION)
MAGIC: Final = b"NINESOBS"
HEADER: Final = struct.Struct("<8sHHI")
RECORD: Final = struct.Struct("<qqqIHBBBBH")
HEADER_BYTES: Final = HEADER.pack(MAGIC, VERSION, RECORD.size, 0)


LATE_FLOOR_NS: Final = 2_000_000
"""A slot that is sent at most so late counts as sent, however short slots are: what a busy machine may cost (docs/measuring.md)."""


def late_ns(slot_ns: float) -> float:
    """What is sent later than this after its due time is missing: half a slot, and never less than the floor."""
    return max(slot_ns / 2, LATE_FLOOR_NS)


class Outcome(enum.IntEnum):
    """As Jepsen has them, and ``UNSENT`` for a slot the prober itself failed to send."""

    OK = 0
    FAIL = 1
    UNKNOWN = 2
    UNSENT = 3


class Why(enum.IntEnum):
    """What kind of bad the last attempt was."""

    NONE = 0
    DNS = 1
    REFUSED = 2
    TIMEOUT = 3
    """No answer within the attempt's time-out."""
    RESET = 4
    CLOSED = 5
    ERROR = 6
    """An answer that says no (5xx, an error code)."""
    PROTOCOL = 7
    DEADLINE = 8
    """Cut by the slot's deadline."""
    UNREACHABLE = 9
    WRONG = 10
    """An answer that may be good and lacks the expected text."""
    NO_DNS = 11
    """The name server did not answer in time; ``DNS`` is an answer without an address."""
    TLS = 12
    """The connection could not be encrypted: a certificate was not believed, or the other side refused."""
    POOL = 13
    """All connections of the client were in use until its time was over."""


def dtype() -> np.dtype[np.void]:
    """The record as a numpy structure."""
    import numpy as np

    return np.dtype(
        [
            ("due", "<i8"), ("sent", "<i8"), ("done", "<i8"), ("address", "<u4"), ("operation", "<u2"),
            ("outcome", "u1"), ("why", "u1"), ("attempts", "u1"), ("spare", "u1"), ("status", "<u2"),
        ]
    )  # fmt: skip


def read(path: Path) -> NDArray[np.void]:
    """All whole records of the file, in the order written; empty if the file is missing or has no whole record yet."""
    import numpy as np

    return np.frombuffer(_whole_records(path), dtype=dtype())


def sent(path: Path) -> Iterator[tuple[int, Outcome]]:
    """When each slot that was sent had ended, and how. For whoever acts: numpy is only where runs are judged."""
    for _, sent_ns, done_ns, _, _, outcome, *_ in RECORD.iter_unpack(_whole_records(path)):
        if sent_ns > 0:
            yield done_ns, Outcome(outcome)


def _whole_records(path: Path) -> bytes:
    if not path.exists() or path.stat().st_size < HEADER.size:
        return b""
    data = path.read_bytes()
    magic, version, size, _ = HEADER.unpack_from(data)
    if magic != MAGIC or version not in READABLE or size != RECORD.size:
        raise HistoryUnreadable(f"{path} is not an observations file of version 1 to {VERSION}")
    return data[HEADER.size : len(data) - (len(data) - HEADER.size) % RECORD.size]
