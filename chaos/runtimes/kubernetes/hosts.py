"""Machines of a cluster as a whole: switched off and on, closed and opened, by the user's side; and what of a run stands again afterwards.

    off     errand -> (silence is seen by the fault) -> nodes there are down
    on      errand -> kubelet starts what was there -> a guest stands in each pod again

The harness has no right on machines, and knows no command: it asks the side that it travelled from (``Runtime.at_home``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

from chaos.core.clock import Clock
from chaos.core.errors import FaultNotEffective, NinesError, NotHealed
from chaos.history.owed import CORDON, POWER_OFF, POWER_ON, STAYS_ON, UNCORDON
from chaos.plugin import COMMAND_GONE, Layer
from chaos.runtimes.base.machines.orders import AtHome
from chaos.runtimes.kubernetes.cut import cut_off
from chaos.runtimes.kubernetes.guests import PodGuests

NOBODY: Final = "nobody is there who may do something to machines: this harness has not travelled from a command"


class PodHosts:
    """``HasHosts`` of one run. ``guests``: who stands on the machines; none where only pods of ours are, which closes and opens alone."""

    def __init__(self, at_home: AtHome | None, guests: PodGuests | None, clock: Clock) -> None:
        self._at_home = at_home
        self._stand = guests
        self._clock = clock
        self._off: set[str] = set()
        self._silent: set[str] = set()
        """Those of them that were seen silent."""
        self._closed: set[str] = set()

    @property
    def _guests(self) -> PodGuests:
        if self._stand is None:
            raise FaultNotEffective("nobody of ours stands on these machines: they are neither switched nor cut off")
        return self._stand

    def switch_off(self, host: str) -> None:
        """By its command, there."""
        guests = self._guests
        self._off.add(host)
        guests.expect(host)
        self._have_done(POWER_OFF, host)

    def went_dark(self, host: str, at_ns: int) -> None:
        """By the word of whoever saw it silent."""
        self._silent.add(host)
        self._guests.went_dark(host, at_ns)

    def switch_on(self, host: str) -> None:
        """By its command, unless it is on; kubelet starts what was there."""
        if host not in self._off:
            return
        if host not in self._silent and self._guests.stays(host):
            self._taken_back(STAYS_ON, host)
        else:
            said = self._ordered(POWER_ON, host)
            try:
                self._guests.await_back(host)  # switched on by whom it is owed, even where nobody can be asked any more
            except NotHealed as error:
                raise NotHealed(f"{said}; {error}" if said else str(error)) from error
        self._off.discard(host)
        self._silent.discard(host)

    def cut_off(self, host: str) -> AbstractContextManager[Layer]:
        """By an agent in the machine's own network, with nobody's right but that of our DaemonSet."""
        return cut_off(host, lambda: self._guests.in_machine(host), self._clock)

    def cordon(self, host: str) -> int:
        """By the API server, with the user's own rights."""
        self._closed.add(host)
        self._have_done(CORDON, host)
        return self._clock.now_ns()

    def uncordon(self, host: str) -> None:
        """Unless it is open."""
        if host not in self._closed:
            return
        self._taken_back(UNCORDON, host)
        self._closed.discard(host)

    def all_back(self) -> list[str]:
        """At the end of a run: what is still off or closed; what could not be taken back."""
        problems = []
        for host, back in [
            *((each, self.switch_on) for each in sorted(self._off)),
            *((each, self.uncordon) for each in sorted(self._closed)),
        ]:
            try:
                back(host)
            except NinesError as error:
                problems.append(str(error))
        return problems

    def _have_done(self, what: str, host: str) -> None:
        said = self._ordered(what, host)
        if said:
            raise FaultNotEffective(said)

    def _taken_back(self, what: str, host: str) -> None:
        """Where the command is gone it is owed on its disk, and taken back by whoever looks after the machine, or by a heal."""
        said = self._ordered(what, host)
        if said and said != COMMAND_GONE:
            raise NotHealed(said)

    def _ordered(self, what: str, host: str) -> str:
        return NOBODY if self._at_home is None else self._at_home(what, host)
