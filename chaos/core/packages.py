"""Python packages that are imported only where they are used: are they here, and in which version?"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from chaos.core.errors import EnvironmentUnusable


def versions_of(names: Sequence[str]) -> list[str]:
    """``name==version`` of each; ``EnvironmentUnusable`` names those that are not installed, and the line that installs them."""
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise EnvironmentUnusable(
            f"the target's clients need the Python package{'s' if len(missing) > 1 else ''} {', '.join(missing)}, not installed here",
            how=f"pip install {' '.join(missing)}",
        )
    return found
