"""``diverged_replicas``: when the run was over, and all had time to agree, nodes had different data under one key."""

from __future__ import annotations

from typing import ClassVar

from chaos.data.check import Breach, Budget, Check, Finding, Undecided
from chaos.data.operations import SET, Content, DataHistory, Unreadable, content_of
from chaos.history import journal
from chaos.history.events import NodeChanged

SHOWN = 4


class DivergedReplicas(Check):
    """Each node is asked by itself (``read_node``). One that is down in the end is left out, and named."""

    about: ClassVar[str] = "keys under which nodes have different data"
    needs_nodes: ClassVar[bool] = True

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Key by key, what the nodes had by their newest answer."""
        if not history.nodes:
            raise Undecided("no node was read at the end")
        down = _down(history)
        breaches, silent, compared, left_out = [], set(), 0, set()
        for key, reads in budget.each(history.nodes.items()):
            told = {node: read for node, read in reads.items() if read.outcome == journal.OK}
            left_out |= (reads.keys() - told.keys()) & down
            silent |= reads.keys() - told.keys() - down
            if len(told) < 2:
                continue
            compared += 1
            found = {node: _content(history.workload, read.value) for node, read in told.items()}
            if len(set(found.values())) > 1:
                said = ", ".join(f"{node} has {_shown(read.value)}" for node, read in sorted(told.items()))
                breaches.append(Breach(key, said, known_ns=max(read.at_ns for read in told.values())))
        if not breaches and silent:
            raise Undecided(f"{', '.join(sorted(silent))} could not be read at the end")
        if not compared:
            raise Undecided("fewer than two nodes could be read at the end")
        more = f"{', '.join(sorted(left_out))} {'was' if len(left_out) == 1 else 'were'} down, and not compared" if left_out else ""
        return Finding(len(breaches), compared, "keys", breaches, more)


def _content(workload: str, text: str | None) -> Content | frozenset[str]:
    try:
        found = content_of(workload, text)
    except Unreadable:
        return text
    return frozenset(found) if workload == SET and isinstance(found, tuple) else found


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    return f"'{text}'" if len(text) <= 40 else f"'...{text[-40:]}'"


def _down(history: DataHistory) -> set[str]:
    """The nodes that do not run by the last that is known of them."""
    last = {row.node: row.status for row in history.rows if isinstance(row, NodeChanged)}
    return {node for node, status in last.items() if status != "up"}
