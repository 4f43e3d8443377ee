"""Parts that some tests need and not every machine has: without one, a test skips; where ``NINES_CI=1`` is set, it fails.

On the machine that guards the project nothing may be missing: a suite that skips what it cannot do proves nothing.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from typing import Final

import pytest

from chaos.runtimes.base import faketime


def strict() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("NINES_CI") == "1"


PACKAGES: Final = {
    "etcd": "etcd-server",
    "libfaketime": "libfaketime",
    "linux.uml": "user-mode-linux",
    "dockerd": "docker.io",
    "promtool": "prometheus",
    "redis-sentinel": "redis-sentinel",
    "nginx": "nginx-light",
    "gdnsd": "gdnsd",
}
"""The packages of Debian and Ubuntu that have a part, where it has one."""
NEEDS: Final = "needs "
INSTALL: Final = "sudo apt-get install "


def need(what: str, present: bool | None = None, how: str = "") -> None:
    """Go on if ``what`` is there (by default: a program of that name on PATH), else skip, or fail in strict mode."""
    if shutil.which(what) is not None if present is None else present:
        return
    how = how or (INSTALL + PACKAGES[what] if what in PACKAGES else "")
    reason = f"{NEEDS}{what}" + (f": {how}" if how else "")
    if strict():
        pytest.fail(f"{reason} (a missing part is a failure here, since NINES_CI=1)", pytrace=False)
    pytest.skip(reason)


def need_libfaketime() -> None:
    """The library that gives a plain process another time."""
    need("libfaketime", faketime.find() is not None)


def closing_line(reasons: Iterable[str]) -> str:
    """What this machine lacks, how many tests each part would have had, and what brings them; empty if nothing was missing."""
    counted = Counter(reason.removeprefix(NEEDS).partition(": ") for reason in reasons if reason.startswith(NEEDS))
    if not counted:
        return ""
    named = ", ".join(f"{what} ({tests} test{'s' * (tests > 1)})" for (what, _, _), tests in sorted(counted.items()))
    packages = sorted({how.removeprefix(INSTALL) for _, _, how in counted if how.startswith(INSTALL)})
    others = sorted({how.splitlines()[0] for _, _, how in counted if how and not how.startswith(INSTALL)})
    ways = [INSTALL + " ".join(packages)] * bool(packages) + others
    return f"not tested, since this machine lacks {named}" + (f"; to get it: {'; '.join(ways)}" if ways else "")
