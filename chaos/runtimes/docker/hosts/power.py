"""The power of hosts, by the commands that the experiment names; and what of a run stands again when a host is back.

    off     command -> (silence is seen by the fault) -> nodes there are down
    on      command -> engine answers -> tied again -> agents stand, with the rules in force -> (systems are started by the fault)

No restart policy starts an agent before its system, so both are ours to start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from chaos.core.errors import FaultNotEffective, NinesError, NotHealed
from chaos.engine.connection import answers
from chaos.experiment.hosts import HostSpec
from chaos.plugin import Layer
from chaos.runtimes.docker.hosts.orders import Order

BOOT_S: Final = 180.0
"""A machine boots, and its engine starts, within this."""
_LOOK_S: Final = 0.05
POWER_ON: Final = "power_on"
"""The undo of a host that was switched off."""


class Power:
    """``expect``: a host's agents are about to fall silent; ``dark``: its nodes are down since then; ``again``: all of ours on it but
    the systems is to stand again."""

    def __init__(
        self, specs: Mapping[str, HostSpec], expect: Callable[[str], None], dark: Callable[[str, int], None],
        again: Callable[[str], None], order: Order,
    ) -> None:  # fmt: skip
        self._specs = specs
        self._expect = expect
        self._dark = dark
        self._again = again
        self._order = order
        self._off: set[str] = set()
        """Those whose command was given."""
        self._silent: set[str] = set()
        """Those that were then seen silent."""

    def switch_off(self, host: str) -> None:
        """By its command."""
        self._off.add(host)
        self._expect(host)
        said = self._order(host, False)
        if said:
            raise FaultNotEffective(f"the command that switches host '{host}' off {said}")

    def went_dark(self, host: str, at_ns: int) -> None:
        """By the word of whoever saw it silent."""
        self._silent.add(host)
        self._dark(host, at_ns)

    def switch_on(self, host: str) -> None:
        """By its command, unless it is on."""
        if host not in self._off:
            return
        try:
            self._awaken(host)
            self._again(host)
        except NinesError as error:
            raise error if isinstance(error, NotHealed) else NotHealed(f"host '{host}' is not as it was: {error}") from error
        self._off.discard(host)
        self._silent.discard(host)

    def _awaken(self, host: str) -> None:
        """Unless its command failed, and it has been on all the time: then another command would meet what it does not expect."""
        if host in self._silent or not answers({"DOCKER_HOST": self._specs[host].engine}):
            awaken(host, self._specs[host], self._order)

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        """A Docker host is cut off by the rules of each agent there."""
        raise FaultNotEffective(f"host '{host}' is not cut off as a whole: leave 'by: host' out")

    def cordon(self, host: str) -> int:
        """A Docker host takes what it is given, and Nines alone gives it."""
        raise FaultNotEffective(f"host '{host}' is not closed by anybody: nobody else places nodes there")

    def uncordon(self, host: str) -> None:
        """It never was closed."""

    def all_on(self) -> list[str]:
        """Those that are still off, at the end of a run: so that what is on them can be removed. What could not be switched on."""
        problems = []
        for host in sorted(self._off):
            try:
                self._awaken(host)
            except NotHealed as error:
                problems.append(str(error))
        return problems


def awaken(host: str, spec: HostSpec, order: Order) -> None:
    """Power on; its engine answers then. ``NotHealed`` otherwise."""
    said = order(host, True)
    if said:
        raise NotHealed(f"the command that switches host '{host}' on {said}")
    until_s = time.monotonic() + BOOT_S
    while not answers({"DOCKER_HOST": spec.engine}):
        if time.monotonic() > until_s:
            raise NotHealed(f"the engine of host '{host}' ({spec.engine}) did not answer within {BOOT_S:g} s after its power was on")
        time.sleep(_LOOK_S)
