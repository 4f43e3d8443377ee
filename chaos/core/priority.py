"""What measures may have of the processor before others: a busy machine must delay the systems under test, not their clock.

The prober takes all of it. Name server and role watch take short slices: a check must not fail because they themselves were held up.

    real time        SCHED_RR: nothing that runs by ordinary shares delays a slot. For the privileged (CAP_SYS_NICE, RLIMIT_RTPRIO).
    niceness         a larger share of a contended processor. For the privileged as well (RLIMIT_NICE).
    short slices     waking up before whoever has run for longer. For everybody, from Linux 6.12 on (sched(7), EEVDF).

What is not granted is done without: slots are late more often then, and are recorded as late. With a program on each of two cores that
never sleeps, 17 % of the wake-ups come 5 ms late by ordinary shares, 1 to 9 % with short slices, none in real time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path
from typing import Final

NICENESS: Final = -10
SLICE_NS: Final = 100_000
"""The shortest that the kernel grants."""
REAL_TIME: Final = "real time"
SHORT_SLICES: Final = "short slices"
_REFUSED: Final = (errno.EPERM, errno.EACCES, errno.EAGAIN, errno.EROFS, errno.EINVAL)
_CALLS: Final = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
"""Numbers of sched_setattr and sched_getattr, which the C library has no functions for."""
_ATTR: Final = struct.Struct("IIQiIQQQ")
"""``struct sched_attr``: size, policy, flags, nice, priority, runtime (the slice), deadline, period."""


def raise_priority() -> list[str]:
    """What processes that are started from now on have as well; what was granted, in words."""
    found = []
    if _nice():
        found.append(f"niceness {NICENESS}")
    if short_slices():
        found.append(SHORT_SLICES)
    return found


def real_time() -> list[str]:
    """For this process alone: a driver that never sleeps must not keep a core from everybody. What was granted, in words."""
    if sys.platform != "linux":
        return []
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return []
    return [REAL_TIME]


def _nice() -> bool:
    """Where the kernel groups tasks by session (``sched(7)``, autogroup), the niceness of the group is what counts between sessions;
    whoever was started outside of any session is in the root group, whose weight is fixed (EINVAL), and has its own niceness alone."""
    if sys.platform != "linux":
        return False
    group = Path("/proc/self/autogroup")
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        if group.exists():
            group.write_text(str(NICENESS), encoding="ascii")
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        return False
    return True


def short_slices() -> bool:
    """For this process and those that it starts. Older kernels take the wish and forget it, so it is read back."""
    if sys.platform != "linux":
        return False
    calls = _CALLS.get(platform.machine())
    if calls is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    libc = ctypes.CDLL(None)
    wish = ctypes.create_string_buffer(
        _ATTR.pack(_ATTR.size, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, SLICE_NS, 0, 0), _ATTR.size
    )
    if libc.syscall(calls[0], 0, wish, 0) != 0:
        return False
    has = ctypes.create_string_buffer(_ATTR.size)
    return bool(libc.syscall(calls[1], 0, has, _ATTR.size, 0) == 0 and _ATTR.unpack(has.raw)[5] == SLICE_NS)
