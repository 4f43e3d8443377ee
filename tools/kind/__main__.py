"""A cluster of kind on this machine, for tests, without an image registry: ``python -m tools.kind ...``.

    build              kind, crictl, and the file system of a node image; kept in ~/.cache/nines/kind
    run COMMAND...     with DOCKER_HOST, KUBECONFIG, kind and kubectl; a cluster of three machines is started for it, and ends with it

It needs root, Docker's command, Debian's packages, and Go for the first build: 15 minutes on two cores with tools.kubernetes, whose
programs it takes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.core.errors import NinesError
from tools.kind import cluster, image

CONFIG: Final = Path(__file__).parent / "files" / "cluster.yaml"


def main(arguments: Sequence[str]) -> int:
    """The exit status: that of the command, or of the error."""

    def note(text: str) -> None:
        print(text, file=sys.stderr)

    match arguments:
        case ["build"]:
            print(image.ensure(note))
            return 0
        case ["run", *command] if command:
            with cluster.running(CONFIG.read_text(encoding="utf-8"), note) as found:
                return subprocess.run(command, env=found.environment, check=False).returncode
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NinesError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
