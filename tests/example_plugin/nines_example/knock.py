"""``knock: "{address}:{client}"``: a connection that opens is a success."""

from __future__ import annotations

import errno
import socket

from chaos.plugin import Outcome, Probe, Setup, Slot, Why, Written, reads

OPTIONS = {"what": "{address}:port"}


def port_of(written: Written) -> int:
    """The port; ``BadInput`` with its line for what cannot be right."""
    written.allow(OPTIONS)
    host, _, port = written.option("what").strip().rpartition(":")
    if host != "{address}":
        raise written.wrong("what", f"'{host}' is not asked", "write it like {address}:{client}")
    return written.port(port)


@reads(port_of, OPTIONS)
def build(setup: Setup) -> Probe:
    """The sender of one operation."""
    return Knock(setup)


class Knock:
    """Connects, and resets."""

    host = None

    def __init__(self, setup: Setup) -> None:
        self.port = port_of(setup)
        self.loop = setup.loop
        self.open: set[Attempt] = set()

    def send(self, slot: Slot) -> None:
        """One attempt."""
        Attempt(self, slot).begin()

    def close(self) -> None:
        """All that is under way."""
        for attempt in list(self.open):
            attempt.cut()


class Attempt:
    """One connection."""

    def __init__(self, owner: Knock, slot: Slot) -> None:
        self.owner = owner
        self.slot = slot
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        owner.open.add(self)
        slot.carrier = self

    def begin(self) -> None:
        """Never waits."""
        number = self.socket.connect_ex((self.slot.address, self.owner.port))
        if number not in (0, errno.EINPROGRESS):
            self.end(Outcome.FAIL, Why.REFUSED)
        else:
            self.owner.loop.add_writer(self.socket.fileno(), self.opened)

    def opened(self) -> None:
        """Or refused."""
        refused = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.end(*((Outcome.FAIL, Why.REFUSED) if refused else (Outcome.OK, Why.NONE)))

    def end(self, outcome: Outcome, why: Why) -> None:
        """Once."""
        self.drop()
        self.slot.end(outcome, why)

    def cut(self) -> bool:
        """Time is up; nothing of a request was sent."""
        self.drop()
        return False

    def drop(self) -> None:
        """Let go of the connection."""
        self.owner.open.discard(self)
        if self.socket.fileno() >= 0:
            self.owner.loop.remove_writer(self.socket.fileno())
            self.socket.close()
