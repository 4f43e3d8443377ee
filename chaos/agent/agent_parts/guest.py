"""What a guest in somebody else's namespaces owes them: to leave nothing behind, since they live on without us.

``guest.leave`` takes back everything at once, whoever brought it about (this agent, or one that died before): no proxy and no
connection through one, no table of packet rules, no queue, nothing frozen. It answers what could not be taken back.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chaos.agent.agent_processes import read_stat
    from chaos.agent.agent_rules import TABLE, removed
else:
    sys.path.append(str(Path(__file__).parent.parent))  # they stand there, and the interpreter looks nowhere by itself
    from agent_processes import read_stat
    from agent_rules import TABLE, removed

WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.002
OUTLIVING: Final = ("aside", "shaping", "burden")
"""Parts whose harm lives in the network and would outlive the agent that brought it about; and load, which would count until it ends."""


def do_leave(agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """Take back everything; ``left`` says what is still there."""
    problems = [problem for name in OUTLIVING for problem in agent._part(name).heal(agent)]
    if _stopped(agent):
        agent._signal_all(signal.SIGCONT)
        until_s = time.monotonic() + WITHIN_S
        while (stopped := _stopped(agent)) and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)
        problems += [f"process {pid} is still frozen" for pid in stopped]
    problems += heal(agent)
    agent.left = not problems
    return {"result": {"left": "; ".join(problems)}}


def _stopped(agent: Any) -> list[int]:  # noqa: ANN401
    """Asked of each process, not of the whole: whoever is frozen must not stay so, main process or not."""
    return [pid for pid in agent.processes.all() if (stat := read_stat(pid)) is not None and stat.state in "Tt"]


def heal(_agent: Any) -> list[str]:  # noqa: ANN401
    """Our table is gone, not merely empty."""
    return removed(TABLE)
