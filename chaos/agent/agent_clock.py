"""Which clock CLOCK_MONOTONIC is here: two processes that name it alike read one clock, whatever machine they think they are on.

Standard library only.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/timens_offsets")


def clock_name() -> str:
    """The boot of the kernel and what its time namespace adds; empty where the kernel does not say which boot it is."""
    found = []
    for path in (_BOOT, _NAMESPACE):
        with suppress(OSError):  # Kernels without time namespaces have no offsets.
            found.append(" ".join(path.read_text(encoding="ascii").split()))
    return " / ".join(found) if found and _BOOT.exists() else ""
