"""How many connections may wait for a listening program to take them in: what it told the kernel (listen(2)), by sock_diag(7).

listening.queues   ``address:port`` -> so many; ``[::]:8080`` in the form of IPv6

``/proc/net/tcp`` does not say it. Used by the harness itself where nodes are plain processes, and by agents. Standard library only.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

_SOCK_DIAG: Final = 4
_BY_FAMILY, _DONE, _ERROR = 20, 3, 2
_DUMP: Final = 0x301
_LISTEN: Final = 10
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - what a socket may be bound to, not what we bind
_HEAD: Final = struct.Struct("=IHHII")


def queues() -> dict[tuple[str, int], int]:
    """Of every TCP socket that listens in this network namespace: (address, port) -> length of its queue."""
    found = {}
    for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
        for data in _dump(family):
            port = struct.unpack_from("!H", data, 4)[0]
            found[socket.inet_ntop(family, data[8 : 8 + size]), port] = struct.unpack_from("=I", data, 60)[0]
    return found


def queue_of(seen: dict[tuple[str, int], int], address: str, port: int) -> int | None:
    """Of whoever takes in what comes to this address and port; None if nobody does."""
    return next((seen[place, port] for place in (address, *_ANYWHERE) if (place, port) in seen), None)


def _dump(family: int) -> list[bytes]:
    """Every ``struct inet_diag_msg`` (linux/inet_diag.h)."""
    body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, 1 << _LISTEN) + bytes(48)
    found: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.settimeout(2.0)
        asking.send(_HEAD.pack(_HEAD.size + len(body), _BY_FAMILY, _DUMP, 1, 0) + body)
        while True:
            data = asking.recv(1 << 20)
            place = 0
            while place < len(data):
                length, kind, *_ = _HEAD.unpack_from(data, place)
                if kind in (_DONE, _ERROR):
                    return found
                found.append(data[place + _HEAD.size : place + length])
                place += (length + 3) & ~3


# --- commands ----------------------------------------------------------------------------------------------------------


def do_queues(_agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """All that listen here."""
    return {"result": {_written(*place): float(length) for place, length in queues().items()}}


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def read(result: dict[str, float | str | None]) -> dict[tuple[str, int], int]:
    """What ``listening.queues`` answers, as ``queues`` has it."""
    places = {key: key.rpartition(":") for key in result}
    return {(address.strip("[]"), int(port)): int(result[key] or 0) for key, (address, _, port) in places.items()}


def heal(_agent: Any) -> list[str]:  # noqa: ANN401
    """It only looks."""
    return []
