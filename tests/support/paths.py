"""Where things stand in the source tree, so that no test counts folders."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The top: pyproject.toml, chaos/, experiments/, targets/."""
GOLDEN: Final = ROOT / "tests" / "golden"
"""Reports as they should be."""
BAD: Final = ROOT / "tests" / "unit" / "experiment" / "bad"
"""Experiments that must be refused, each with its message in ``messages.txt``."""
SUPPORT: Final = ROOT / "tests" / "support"
"""Programs that tests start, and small targets."""
