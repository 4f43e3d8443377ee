"""What a run is called: a name that no other run has, whatever its folder is called.

Everything that a run starts carries this name, and everything that is removed is found by it. Two folders may end in the same word, and
``.`` is a folder, too; so what a user named gets six digits of chance, as the folders that we name ourselves have them.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from pathlib import Path
from typing import Final

LONGEST: Final = 40
"""Names of containers and of control groups are made of it, and have limits."""
_CHANCE_BYTES: Final = 3
_UNIQUE = re.compile(r".+-\d{8}-\d{6}-[0-9a-f]{6}")


def stamped(name: str) -> str:
    """``name-<time>-<chance>``: for a folder that nobody named."""
    return f"{name}-{datetime.now().astimezone():%Y%m%d-%H%M%S}-{secrets.token_hex(_CHANCE_BYTES)}"


def of_folder(folder: Path) -> str:
    """A name for a run in that folder, another one each time, unless the folder's own name is unique already."""
    name = folder.absolute().resolve().name
    if _UNIQUE.fullmatch(name):
        return name
    word = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-._")[:LONGEST] or "run"
    return f"{word}-{secrets.token_hex(_CHANCE_BYTES)}"
