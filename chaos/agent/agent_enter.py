"""Start a command in the network of a pod, from a container that sees the processes of the whole machine.

    NINES_GUEST_POD=<uid of the pod> python3 agent_enter.py COMMAND...

A pod's network is kept by a process of its own for as long as the pod lives, whatever becomes of its containers: that one is entered.
Standard library only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from chaos.agent.agent_guest import pods_process
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    from agent_guest import pods_process

WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.02


def main(command: list[str]) -> NoReturn:
    """Becomes the command, there."""
    pod = os.environ["NINES_GUEST_POD"]
    until_s = time.monotonic() + WITHIN_S
    while (pid := pods_process(pod)) is None:
        if time.monotonic() > until_s:
            print(f"no process of the pod {pod} runs on this machine", file=sys.stderr)
            sys.exit(1)
        time.sleep(LOOK_EVERY_S)
    os.execvp("nsenter", ["nsenter", "-t", str(pid), "-n", "--", *command])  # noqa: S606 - into its place


if __name__ == "__main__":
    main(sys.argv[1:])
