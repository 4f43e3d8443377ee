"""The network of a whole machine, cut for as long as somebody renews it; healed by the agent there, by its kernel, or by a heal.

The agent stands in the machine's own network, started in the DaemonSet's pod there. It is spoken with through the API server and
kubelet, whose port the cut leaves open. Where that way does not pass it (a cluster whose API server reaches kubelets by a tunnel from
there), the lease is over after 15 s, and the fault says that it was not in force for as long as it should.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective, NinesError, NotHealed
from chaos.plugin import Layer
from chaos.runtimes.base.agents.link import AgentLink, Answer

KUBELET_PORT: Final = 10250
"""Where the API server reaches kubelet, unless somebody has configured another one."""
LEASE_S: Final = 15.0
RENEW_EVERY_S: Final = 3.0
HEAL_WITHIN_S: Final = 10.0


@contextmanager
def cut_off(host: str, enter: Callable[[], AgentLink], clock: Clock) -> Iterator[Layer]:
    """``enter``: an agent in the network of that machine. ``FaultNotEffective`` where it was over before its time."""
    link = enter()
    lost = ""
    layer: Layer | None = None
    try:
        answer = link.call("machine.cut", open_port=KUBELET_PORT, lease_s=LEASE_S)
        devices = str(answer.result.get("devices") or "")
        layer = Layer(answer.at_ns, f"packet rules of the machine on {devices}, kubelet's port left open")
        with _renewed(link, devices.split(", ")) as lapse:
            yield layer
        lost = lapse()
    finally:
        try:
            healed_ns = _healed(host, link, enter, clock)
        finally:
            link.closing = True
            link.close()
        if layer is not None:
            layer.healed_at_ns = healed_ns
    if lost:
        raise FaultNotEffective(f"the cut of '{host}' was over before its time: {lost}")


@contextmanager
def _renewed(link: AgentLink, devices: list[str]) -> Iterator[Callable[[], str]]:
    """Again and again; gives how it failed, if it did."""
    over = threading.Event()
    said: list[str] = []

    def renew() -> None:
        while not over.wait(RENEW_EVERY_S) and not said:
            try:
                lapsed = link.call("machine.renew", devices=devices, lease_s=LEASE_S).result.get("lapsed")
            except NinesError as error:
                said.append(str(error))
            else:
                said.extend([f"nobody could renew it for {LEASE_S:g} s"] if lapsed else [])

    thread = threading.Thread(target=renew, name="cut", daemon=True)
    thread.start()
    try:
        yield lambda: "; ".join(said)
    finally:
        over.set()
        thread.join()


def _healed(host: str, link: AgentLink, enter: Callable[[], AgentLink], clock: Clock) -> int:
    """When, by the agent that is there, else by a fresh one; ``NotHealed`` if neither can. The kernel ends the cut all the same."""
    try:
        answer = link.call("machine.heal", HEAL_WITHIN_S)
    except NinesError:
        answer = _by_another(host, enter)
    left = answer.result.get("left")
    if left:
        raise NotHealed(f"the machine '{host}': {left}")
    return min(answer.at_ns, clock.now_ns())


def _by_another(host: str, enter: Callable[[], AgentLink]) -> Answer:
    try:
        fresh = enter()
        try:
            return fresh.call("machine.heal", HEAL_WITHIN_S)
        finally:
            fresh.closing = True
            fresh.close()
    except NinesError as error:
        raise NotHealed(
            f"the machine '{host}' could not be told to end its cut, which ends by itself {LEASE_S:g} s after: {error}"
        ) from error
