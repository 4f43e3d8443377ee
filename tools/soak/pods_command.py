"""What ``nines run`` does, and each row of the history on standard output as it comes: a soak then knows when a fault begins.

python -m tools.soak.pods_command EXPERIMENT.yaml FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from chaos.api import order, perform
from chaos.core.errors import NinesError
from chaos.history.events import Row
from chaos.history.folder import RunFolder
from chaos.report.build import exit_status


def told(row: Row) -> None:
    """One line."""
    print(type(row).__name__, row, flush=True)


def main() -> int:
    """Exit status as of the command."""
    try:
        return exit_status(perform(order(Path(sys.argv[1])), RunFolder(Path(sys.argv[2])), told))
    except NinesError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
