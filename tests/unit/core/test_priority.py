"""The prober's own scheduling: what a machine does not grant is no reason to send nothing, and what it grants is told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.core import priority

REFUSALS = [errno.EPERM, errno.EACCES, errno.EAGAIN, errno.EROFS, errno.EINVAL]
SAYS = "from chaos.core.priority import *; a = raise_priority(); import os; print([*a, *real_time()], os.sched_getscheduler(0))"


def _refusing(number: int) -> object:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", REFUSALS)
def test_a_niceness_that_is_not_granted_is_done_without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """EINVAL is what the kernel answers a process that was started outside of any session: its group has a fixed weight."""
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(priority, "short_slices", lambda: False)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(Path, "write_text", _refusing(number))
    assert priority.raise_priority() == []


@pytest.mark.parametrize("number", REFUSALS)
def test_real_time_that_is_not_granted_is_done_without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary users have no right to it, and control groups may have no time for it."""
    monkeypatch.setattr(os, "sched_setscheduler", _refusing(number))
    assert priority.real_time() == []


def test_any_other_trouble_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is swallowed that was not foreseen."""
    monkeypatch.setattr(os, "setpriority", _refusing(errno.EIO))
    monkeypatch.setattr(os, "sched_setscheduler", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        priority.raise_priority()
    with pytest.raises(OSError, match="Input/output error"):
        priority.real_time()


def test_what_is_told_is_what_the_kernel_says() -> None:
    """A process of its own asks for all of it, and the kernel is asked what it has."""
    said = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, check=True).stdout
    policy = int(said.rsplit(maxsplit=1)[-1]) & ~os.SCHED_RESET_ON_FORK
    assert (priority.REAL_TIME in said) == (policy == os.SCHED_RR)


@pytest.mark.skipif(tuple(int(part) for part in os.uname().release.split(".")[:2]) < (6, 12), reason="slices came with Linux 6.12")
@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64", "riscv64"), reason="the number of the call is not known here")
def test_short_slices_are_everybody_s() -> None:
    """No privilege is needed for them."""
    said = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, check=True).stdout
    assert priority.SHORT_SLICES in said
