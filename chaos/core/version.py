"""Of what this Nines is made: for the report's foot and for bug reports."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

VERSION: Final = "0.1.0"
PACKAGES: Final = ("numpy", "scipy", "msgspec", "dnslib", "dnspython", "toxiproxy-python")


def versions() -> dict[str, str]:
    """Name -> version; a package that is not installed is left out."""
    found = {"nines": VERSION, "python": platform.python_version(), "kernel": platform.release()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
