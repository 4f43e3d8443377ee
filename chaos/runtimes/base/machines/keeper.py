"""The keeper: does to machines what the harness asks for, beside the command, and takes it back when the command dies.

    command --stdin-->   Terms, then {"number": 1, "do": "power_off", "host": "b"}      one JSON object a line
            <--stdout--  {"number": 1, "said": ""}                                      empty: done
    command dies, or ends: the end of the input, and all that is owed is paid

A process of its own in a session of its own: neither a Ctrl-C nor a SIGKILL to the command, nor the end of its terminal, reaches it. What
it owes is on disk before it is done (``history/owed.py``), so that ``nines heal`` pays it where the keeper, too, was killed.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import NinesError
from chaos.history.owed import CORDON, LOG, POWER_OFF, POWER_ON, STAYS_ON, UNCORDON, Owed, alone, note, ordered, owed, paid, pay
from chaos.kube.access import read
from chaos.kube.api import Api
from chaos.kube.cordon import cordon, uncordon
from chaos.runtimes.base.machines.orders import Obeyed, Order, Terms

UNDONE_BY: Final = {POWER_OFF: POWER_ON, CORDON: UNCORDON}


class Keeper:
    """Does one order after the other."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.folder = Path(terms.folder)
        self._api: Api | None = None

    def do(self, order: Order) -> str:
        """Why it could not be done; empty if it was."""
        try:
            if order.do in UNDONE_BY:
                return self._harm(order)
            if order.do == STAYS_ON:
                note(self.folder, Owed(POWER_ON, order.host, paid=True))
                return ""
            debts = [each for each in owed(self.folder) if (each.do, each.host) == (order.do, order.host)]
            return "; ".join(filter(None, (paid(self.folder, each, self.uncordon) for each in debts)))
        except NinesError as error:
            return str(error)

    def pay(self) -> list[str]:
        """All that is owed."""
        return pay(self.folder, self.uncordon)

    def uncordon(self, host: str) -> None:
        """By the API server."""
        uncordon(self._cluster(), host, self._terms.run)

    def _harm(self, order: Order) -> str:
        """The debt first. One of which nothing came about is a debt all the same: a failed command may have done its work."""
        switch = self._terms.power.get(order.host)
        if order.do == POWER_OFF and switch is None:
            return f"nothing says how host '{order.host}' is switched off"
        debt = Owed(UNDONE_BY[order.do], order.host, switch.on if order.do == POWER_OFF and switch is not None else ())
        note(self.folder, debt)
        if order.do == CORDON:
            cordon(self._cluster(), order.host, self._terms.run)
            return ""
        assert switch is not None
        said = ordered(switch.off, self.folder / LOG)
        return f"the command that switches host '{order.host}' off {said}" if said else ""

    def _cluster(self) -> Api:
        if self._api is None:
            self._api = Api(read(self._terms.kubeconfig, self._terms.context))
        return self._api


def main() -> int:
    """Until the input ends; what could not be paid then is said, and is the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, signal.SIG_IGN)  # who may die before it has paid is nobody's keeper
    keeper = Keeper(msgspec.json.decode(sys.stdin.buffer.readline(), type=Terms))
    with alone(keeper.folder):
        for line in sys.stdin.buffer:
            order = msgspec.json.decode(line, type=Order)
            _say(Obeyed(order.number, keeper.do(order)))
        problems = keeper.pay()
        _say(Obeyed(0, "; ".join(problems)))
    return 1 if problems else 0


def _say(obeyed: Obeyed) -> None:
    try:
        sys.stdout.buffer.write(msgspec.json.encode(obeyed) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        sys.stdout = sys.stderr  # the command is gone: nobody is told, and what is owed is paid all the same


if __name__ == "__main__":
    sys.exit(main())
