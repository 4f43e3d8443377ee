"""Ending nodes the polite way: SIGTERM to all at once, SIGKILL to those that still run after the grace."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import msgspec

from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.values import Status
from chaos.plugin import Scene

LOOK_EVERY_S = 0.005
SENT_WITHIN_S = 0.005
"""One after the other is asked to end, each after the last one was: so the order of their deaths is that of their names."""


class Stopped(msgspec.Struct, frozen=True):
    """How one node ended."""

    node: str
    asked_ns: int
    died_ns: int
    forced: bool
    """It did not end within the grace and was killed."""

    @property
    def took_s(self) -> float:
        """From the request to its death."""
        return to_s(self.died_ns - self.asked_ns)


def stop_all(scene: Scene, nodes: Sequence[str], grace_s: float) -> list[Stopped]:
    """All of them dead, at most ``grace_s`` and a moment later. ``FaultNotEffective`` for one that does not run or does not die."""
    with ThreadPoolExecutor(max_workers=max(1, len(nodes)), thread_name_prefix="stop") as pool:
        asked = []
        for node in nodes:
            asked.append(pool.submit(_stop, scene, node, grace_s))
            wait(asked[-1:], timeout=SENT_WITHIN_S)
        return [each.result() for each in asked]


def mechanism(stopped: Sequence[Stopped], grace_s: float) -> str:
    """For the report."""
    forced = [each.node for each in stopped if each.forced]
    return f"SIGTERM; SIGKILL after {grace_s:g} s to {', '.join(forced)}" if forced else "SIGTERM"


def figures(stopped: Sequence[Stopped]) -> dict[str, float | str | None]:
    """How long each took to end."""
    return {f"{each.node}.took_s": each.took_s for each in stopped}


def _stop(scene: Scene, name: str, grace_s: float) -> Stopped:
    node, clock = scene.cluster.nodes[name], scene.clock
    asked_ns = clock.now_ns()
    until_ns = asked_ns + to_ns(grace_s)
    # A node's own verb waits for the death longer than a short grace: it waits in a thread, and a SIGKILL meanwhile ends its wait.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"stop {name}") as pool:
        gentle = pool.submit(node.kill, signal.SIGTERM)
        wait([gentle], timeout=grace_s)
        died_ns = gentle.result() if gentle.done() else asked_ns
        while node.status() is not Status.DOWN and clock.now_ns() < until_ns:
            clock.wait_until_ns(min(until_ns, clock.now_ns() + to_ns(LOOK_EVERY_S)))
            died_ns = clock.now_ns()
        if node.status() is Status.DOWN:
            return Stopped(name, asked_ns, died_ns, forced=False)
        try:
            return Stopped(name, asked_ns, node.kill(signal.SIGKILL), forced=True)
        except FaultNotEffective:
            if node.status() is not Status.DOWN:
                raise
            return Stopped(name, asked_ns, clock.now_ns(), forced=False)  # it ended by itself in the last moment
