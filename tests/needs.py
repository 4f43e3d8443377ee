"""Parts that some tests need and not every machine has: without one, a test skips; where ``NINES_CI=1`` is set, it fails.

On the machine that guards the project nothing may be missing: a suite that skips what it cannot do proves nothing.
"""

from __future__ import annotations

import os
import shutil

import pytest


def strict() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("NINES_CI") == "1"


def need(what: str, present: bool | None = None, how: str = "") -> None:
    """Go on if ``what`` is there (by default: a program of that name on PATH), else skip, or fail in strict mode."""
    if shutil.which(what) is not None if present is None else present:
        return
    reason = f"needs {what}" + (f": {how}" if how else "")
    if strict():
        pytest.fail(f"{reason} (a missing part is a failure here, since NINES_CI=1)", pytrace=False)
    pytest.skip(reason)
