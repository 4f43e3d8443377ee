"""The network of a whole machine, cut where it stands: ``machine.cut``, ``machine.renew``, ``machine.heal``.

A set of devices decides what is dropped, and each device is in it for some seconds only: the kernel itself takes it out again, whatever
becomes of this agent. So a cut lasts for as long as somebody renews it. What is left open is the port through which we are spoken with:
the API server's connections to kubelet. Traffic that does not leave the machine passes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chaos.agent.agent_rules import nft, removed
else:
    sys.path.append(str(Path(__file__).parent.parent))  # it stands there, and the interpreter looks nowhere by itself
    from agent_rules import nft, removed

TABLE: Final = "inet nines_host"
SET: Final = "cut"
_GATEWAY: Final = 0x2
"""``RTF_GATEWAY``: what goes there leaves the machine (linux/route.h)."""


def do_cut(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - agent.Agent, which is not importable here
    """All of it from now on, for ``lease_s``; ``open_port`` stays open. The answer names the devices, and says when it was done."""
    del agent
    devices = command.get("devices") or leading_out(Path("/proc/net/route").read_text(encoding="utf-8"))
    if not devices:
        raise ValueError("no device of this machine leads out of it: it has no route by a gateway")
    asked_ns = time.monotonic_ns()
    nft("-f", "-", text=script(devices, command["open_port"], command["lease_s"]))
    return {"asked_ns": asked_ns, "at_ns": time.monotonic_ns(), "result": {"devices": ", ".join(devices)}}


def do_renew(agent: Any, command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """For ``lease_s`` from now; ``lapsed``: it was over already."""
    del agent
    before = nft("list", "set", *TABLE.split(), SET)
    devices = command["devices"]
    nft("-f", "-", text=f"flush set {TABLE} {SET}\n{_elements(devices, command['lease_s'])}")
    lapsed = [each for each in devices if f'"{each}"' not in before]
    return {"result": {"lapsed": ", ".join(lapsed)}}


def do_heal(agent: Any, _command: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Our table is gone; ``left`` says what is still there."""
    problems = heal(agent)
    at_ns = time.monotonic_ns()
    agent.left = not problems
    return {"at_ns": at_ns, "result": {"left": "; ".join(problems)}}


def heal(_agent: Any) -> list[str]:  # noqa: ANN401
    """Of this agent, or of one that died before it."""
    return removed(TABLE)


def script(devices: list[str], open_port: int, lease_s: float) -> str:
    """One transaction. Before and after all else that the machine does with packets: no address is translated yet, or any more."""
    return f"""\
add table {TABLE}
delete table {TABLE}
add table {TABLE}
add set {TABLE} {SET} {{ type ifname; flags timeout; }}
add chain {TABLE} in {{ type filter hook prerouting priority -400; }}
add chain {TABLE} out {{ type filter hook postrouting priority 400; }}
add rule {TABLE} in iifname @{SET} tcp dport {open_port} accept
add rule {TABLE} in iifname @{SET} counter drop
add rule {TABLE} out oifname @{SET} tcp sport {open_port} accept
add rule {TABLE} out oifname @{SET} counter drop
{_elements(devices, lease_s)}
"""


def _elements(devices: list[str], lease_s: float) -> str:
    listed = ", ".join(f'"{each}" timeout {int(lease_s * 1000)}ms' for each in devices)
    return f"add element {TABLE} {SET} {{ {listed} }}"


def leading_out(routes: str) -> list[str]:
    """The devices by which packets leave the machine: those of its routes that have a gateway (proc_net(5), ``route``)."""
    found = []
    for line in routes.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and int(words[3], 16) & _GATEWAY:
            found.append(words[0])
    return sorted(set(found))
