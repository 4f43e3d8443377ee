"""What keeps a fault from being seen gone although nothing of it is left: another fault in force, or a system that does not come back.

A leftover is a thing of ours. A link can be shown to be well only while its node answers; and a node that was started again and then ended
by itself is the answer to the question whether the system recovers: no.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from chaos.core.clock import to_s
from chaos.core.values import CLIENTS, DNS, Status, Victims
from chaos.plugin import Cluster
from chaos.run.monitor import LiveState

TAIL_BYTES: Final = 4096
LONGEST_LINE: Final = 200


def concerned(victims: Victims) -> frozenset[str]:
    """The nodes that must answer before a fault on these victims can be seen to be gone."""
    ends = {end for link in victims.links for end in (link.source, link.destination)}
    return frozenset({*victims.nodes, *ends, *(node for group in victims.groups for node in group)} - {CLIENTS, DNS})


def held_down(nodes: frozenset[str], others: Iterable[Victims]) -> bool:
    """Whether another fault that is in force, or not yet proven gone, acts on one of them."""
    return any(nodes & concerned(victims) for victims in others)


def not_back(cluster: Cluster, state: LiveState, victims: Victims, start_ns: int, logs: Path, *, only_processes: bool) -> str:
    """Which of the nodes do not run, or do not answer, by no doing of ours; in one sentence each, empty if that is not what it is.

    ``only_processes``: the fault did nothing but to processes, so that of one that runs nothing of ours is left.
    """
    told = []
    for node in sorted(concerned(victims)):
        status = cluster.nodes[node].status()
        if status is Status.DOWN:
            told.append(_ended(node, state, start_ns, logs))
        elif only_processes and status is Status.UP and (trip := cluster.ping(node, 1.0)).rtt_s is None:
            told.append(f"{node} runs again and does not answer ({trip.error})")
    return "; ".join(told)


def _ended(node: str, state: LiveState, start_ns: int, logs: Path) -> str:
    """``n2 was started again at 14.0 s and ended by itself at 14.3 s, exit status 1: 'A server is already running'``."""
    began, ended = state.last_life(node)
    at = f" at {to_s(ended.at_ns - start_ns):.1f} s" if ended is not None else ""
    how = f", {ended.detail}" if ended is not None and ended.detail else ""
    begun = f" was started again at {to_s(began.at_ns - start_ns):.1f} s and" if began is not None else ""
    line = last_line(logs / f"{node}.log")
    if line.startswith("{"):
        line = ""  # a record for programs; what went wrong is rarely in it
    return f"{node}{begun} ended by itself{at}{how}" + (f": '{line}'" if line else "")


def last_line(log: Path) -> str:
    """The last words of a node; empty where it said nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            lines: Sequence[str] = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = next((line for line in reversed(lines) if line.strip()), "")
    return "".join(each if each.isprintable() else " " for each in said).strip()[:LONGEST_LINE]
