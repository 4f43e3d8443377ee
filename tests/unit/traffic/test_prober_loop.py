"""The prober's own scheduling: what a machine does not grant is no reason to send nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from chaos.traffic.loop import raise_priority


def _refusing(number: int) -> object:
    def write_text(self: Path, data: str, encoding: str | None = None) -> int:
        raise OSError(number, os.strerror(number))

    return write_text


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EAGAIN, errno.EROFS, errno.EINVAL])
def test_a_priority_that_is_not_granted_is_done_without(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """EINVAL is what the kernel answers a process that was started outside of any session: its group has a fixed weight."""
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(Path, "write_text", _refusing(number))
    assert raise_priority() is False


def test_any_other_trouble_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is swallowed that was not foreseen."""
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    monkeypatch.setattr(Path, "write_text", _refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        raise_priority()
