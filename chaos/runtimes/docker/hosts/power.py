"""The power of hosts, by the commands that the experiment names; and what of a run stands again when a host is back.

    off     errand -> (silence is seen by the fault) -> nodes there are down
    on      errand -> engine answers -> tied again -> agents stand, with the rules in force -> (systems are started by the fault)

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
from chaos.history.owed import POWER_OFF, POWER_ON, STAYS_ON
from chaos.plugin import COMMAND_GONE, Layer
from chaos.runtimes.base.machines.orders import AtHome

BOOT_S: Final = 180.0
"""A machine boots, and its engine starts, within this."""
_LOOK_S: Final = 0.05


class Power:
    """``expect``: a host's agents are about to fall silent; ``dark``: its nodes are down since then; ``again``: all of ours on it but
    the systems is to stand again; ``at_home`` switches hosts."""

    def __init__(
        self, specs: Mapping[str, HostSpec], expect: Callable[[str], None], dark: Callable[[str, int], None],
        again: Callable[[str], None], at_home: AtHome,
    ) -> None:  # fmt: skip
        self._specs = specs
        self._expect = expect
        self._dark = dark
        self._again = again
        self._at_home = at_home
        self._off: set[str] = set()
        """Those whose command was given."""
        self._silent: set[str] = set()
        """Those that were then seen silent."""

    def switch_off(self, host: str) -> None:
        """By its command."""
        self._off.add(host)
        self._expect(host)
        said = self._at_home(POWER_OFF, host)
        if said:
            raise FaultNotEffective(said)

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
        awake = host not in self._silent and answers({"DOCKER_HOST": self._specs[host].engine})
        said = self._at_home(STAYS_ON if awake else POWER_ON, host)
        if said and not (awake and said == COMMAND_GONE):
            raise NotHealed(said)
        if not awake:
            await_engine(host, self._specs[host])

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


def await_engine(host: str, spec: HostSpec) -> None:
    """Of a host that has been switched on. ``NotHealed`` if it does not answer."""
    until_s = time.monotonic() + BOOT_S
    while not answers({"DOCKER_HOST": spec.engine}):
        if time.monotonic() > until_s:
            raise NotHealed(f"the engine of host '{host}' ({spec.engine}) did not answer within {BOOT_S:g} s after its power was on")
        time.sleep(_LOOK_S)
