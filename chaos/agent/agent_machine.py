"""The agent of a whole machine: in its own network, for the time of a cut. It never sees a process, and signals none.

    python3 agent_machine.py

What it leaves behind when nobody speaks to it any more, others go on living with: no rule, and no table. Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.agent import agent
else:
    sys.path.append(str(Path(__file__).parent))  # it stands beside this file, and the interpreter looks nowhere by itself
    import agent


class Machine(agent.Agent):
    """Has one part, which cuts."""

    def _heal_alone(self) -> None:
        self._orphaned = True
        problems = self._part("machine").heal(self)
        self._tell({"event": "orphaned", "at_ns": time.monotonic_ns(), "problems": problems})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, agent.end)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Machine(float(os.environ.get("NINES_ORPHAN_AFTER_S", "15")), has_system=False, ends_with_input=True).run()
