"""Waiting until a cluster that was just started can be used: its nodes are ready, and its roles are held."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.core.clock import Clock, to_ns, to_s
from chaos.core.errors import EnvironmentUnusable
from chaos.core.values import LEADER, VOTING, Status
from chaos.plugin import Deployment, Node
from chaos.runtimes.base.asker import Asker
from chaos.runtimes.base.layout import Layout

READY_EVERY_S = 0.02
READY_TIMEOUT_S = 0.25


class Readiness:
    """``ended`` says how a node's process ended, for the message."""

    def __init__(
        self,
        deployment: Deployment,
        layout: Layout,
        nodes: Mapping[str, Node],
        asker: Asker,
        log_of: Callable[[str], Path],
        ended: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._deployment = deployment
        self._layout = layout
        self._nodes = nodes
        self._asker = asker
        self._log_of = log_of
        self._ended = ended
        self._clock = clock

    def await_ready(self, nodes: Sequence[str]) -> None:
        """Until each of these says yes; ``EnvironmentUnusable`` for one that ended or takes too long."""
        began_ns = self._clock.now_ns()
        waiting = list(nodes)
        while waiting:
            answers = self._asker.ready(waiting, READY_TIMEOUT_S)
            waited_s = to_s(self._clock.now_ns() - began_ns)
            waiting = [name for name, answer in answers.items() if not answer.ok]
            for name in waiting:
                self._give_up_on(name, waited_s, answers[name].error or "")
            if waiting:
                self._clock.wait_until_ns(self._clock.now_ns() + to_ns(READY_EVERY_S))

    def _give_up_on(self, name: str, waited_s: float, error: str) -> None:
        node, within_s = self._nodes[name], self._layout.part(name).ready.within_s
        if node.status() is Status.DOWN:
            how = f"ended at its start{self._ended(name)}"
        elif waited_s > within_s:
            how = f"was not ready within {within_s:g} s"
        else:
            return
        asked = self._layout.ask(self._layout.part(name).ready.ask, name)
        question = asked.http or asked.tcp
        raise EnvironmentUnusable(
            f"{name} {how}; its 'ready' question{f' {question}' if question else ''}: {error}", how=see(self._log_of(name))
        )

    def await_roles(self) -> None:
        """Until one node leads and all vote, as far as the target has such roles: traffic must not begin in an election."""
        wanted = {LEADER, VOTING} & self._deployment.target.roles.keys()
        served = [name for name, info in self._layout.nodes.items() if info.part == self._layout.dns_part]
        within_s = max(self._layout.part(name).ready.within_s for name in served)
        until_ns = self._clock.now_ns() + to_ns(within_s)
        while wanted:
            roles = self._asker.roles()
            leaders = [name for name in self._asked_for(LEADER, served) if LEADER in roles[name]]
            voters = [name for name in self._asked_for(VOTING, served) if VOTING in roles[name]]
            if (LEADER not in wanted or len(leaders) == 1) and (VOTING not in wanted or voters == self._asked_for(VOTING, served)):
                return
            if self._clock.now_ns() >= until_ns:
                seen = f"leading: {', '.join(leaders) or 'nobody'}; voting: {', '.join(voters) or 'nobody'}"
                raise EnvironmentUnusable(
                    f"the nodes did not come together within {within_s:g} s ({seen})", how=see(self._log_of(served[0]))
                )
            self._clock.wait_until_ns(self._clock.now_ns() + to_ns(READY_EVERY_S))

    def _asked_for(self, role: str, served: list[str]) -> list[str]:
        """Of the part that alone may hold the role, if the target names one; else of the part behind the name."""
        part = self._deployment.target.role_parts.get(role)
        return served if part is None else self._layout.members(part)

    def await_pings(self) -> None:
        """Until every node answers the question that proves faults; ``EnvironmentUnusable`` if one that is ready does not.

        Asked only where faults are planned. A node that never answers would be found harmed for ever, by whichever fault came first.
        """
        asked = [name for name in self._nodes if self._layout.ping_question(name, self._layout.part(name).client_port) is not None]
        began_ns = self._clock.now_ns()
        waiting = asked if self._deployment.plan.experiment.faults else []
        while waiting:
            answers = {name: self._asker.ping(name, READY_TIMEOUT_S) for name in waiting}
            waited_s = to_s(self._clock.now_ns() - began_ns)
            waiting = [name for name, trip in answers.items() if trip.rtt_s is None]
            for name in waiting:
                part = self._layout.part(name)
                if waited_s > part.ready.within_s:
                    raise EnvironmentUnusable(
                        f"{name} is ready, and does not answer its 'ping' within {part.ready.within_s:g} s: {answers[name].error};"
                        " no fault could be shown to have taken effect, nor to be gone",
                        how=f"'ping: {{{part.client_port}: ...}}' of the target must ask what a healthy node answers",
                    )
            if waiting:
                self._clock.wait_until_ns(self._clock.now_ns() + to_ns(READY_EVERY_S))


def see(log: Path, lines: int = 5) -> str:
    """Where to look, and the end of what stands there."""
    if not log.exists():
        return f"see {log}"
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return f"see {log}" + "".join(f"\n    | {line}" for line in text)
