"""``tcp``: connect anew for every attempt; if asked, send a text and expect one in the answer. Always closed by reset.

    tcp: "{address}:{client}"
    send: "PING\\r\\n"            escapes as in C: \\r \\n \\t \\0 \\\\
    expect: "+PONG"              without ``send`` it is awaited as a greeting; without both, a connection is a success
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from typing import Final

from chaos.asking import unescaped
from chaos.errors import BadInput
from chaos.observations import Outcome, Why
from chaos.prober_http import why_not_connected
from chaos.prober_probe import Probe, Setup, Slot, Template

OPTIONS: Final = ("what", "send", "expect")
_LINGER_0: Final = struct.pack("ii", 1, 0)
_LIMIT: Final = 1 << 20


def build(setup: Setup) -> Probe:
    """The sender of one TCP operation."""
    return TcpProbe(setup)


class TcpProbe:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        setup.allow(OPTIONS)
        what = setup.option("what")
        host, _, port = what.rpartition(":")
        port = setup.template(port).constant() if host else ""
        if not port.isdigit() or not 0 < int(port) < 65_536:
            raise BadInput(f"operation '{setup.operation}': '{what}' is not host:port", right="write it like {address}:{client}")
        self.host: str | None = None if host == "{address}" else setup.template(host).constant()
        self.port = int(port)
        self.loop = setup.loop
        self.text: Template = setup.template(unescaped(setup.options.get("send", "")))
        self.expect = unescaped(setup.options.get("expect", "")).encode()
        self.open: set[Exchange] = set()

    def send(self, slot: Slot) -> None:
        """Connect, send, expect."""
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            slot.end(*why_not_connected(error.errno or 0))
            return
        Exchange(self, sock, slot).connect()

    def close(self) -> None:
        """Reset what is open."""
        for exchange in list(self.open):
            exchange.cut()


class Exchange:
    """One connection, for one attempt."""

    __slots__ = ("_got", "_left", "_owner", "_slot", "_socket", "_wrote")

    def __init__(self, owner: TcpProbe, sock: socket.socket, slot: Slot) -> None:
        self._owner = owner
        self._socket = sock
        self._slot: Slot | None = slot
        self._left = owner.text.render(slot).encode()
        self._got = b""
        self._wrote = False
        owner.open.add(self)
        slot.carrier = self

    def connect(self) -> None:
        """Begin."""
        assert self._slot is not None
        number = self._socket.connect_ex((self._slot.address, self._owner.port))
        if number not in (0, errno.EINPROGRESS):
            self._end(*why_not_connected(number))
            return
        self._owner.loop.add_writer(self._socket.fileno(), self._writable)

    def cut(self) -> bool:
        """See ``Carrier``."""
        self._slot = None
        self._drop()
        return self._wrote

    def _drop(self) -> None:
        loop: asyncio.AbstractEventLoop = self._owner.loop
        self._owner.open.discard(self)
        if self._socket.fileno() < 0:
            return
        loop.remove_writer(self._socket.fileno())
        loop.remove_reader(self._socket.fileno())
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self._socket.close()

    def _end(self, outcome: Outcome, why: Why) -> None:
        slot, self._slot = self._slot, None
        self._drop()
        if slot is not None:
            slot.end(outcome, why)

    def _writable(self) -> None:
        if self._slot is None:
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number and not self._wrote:
            self._end(*why_not_connected(number))
            return
        if self._left:
            try:
                sent = self._socket.send(self._left)
            except BlockingIOError:
                return
            except OSError:
                self._end(Outcome.UNKNOWN if self._wrote else Outcome.FAIL, Why.RESET)
                return
            self._wrote = True
            self._left = self._left[sent:]
            if self._left:
                return
        if not self._owner.expect:
            self._end(Outcome.OK, Why.NONE)
            return
        self._owner.loop.remove_writer(self._socket.fileno())
        self._owner.loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        if self._slot is None:
            return
        lost = Outcome.UNKNOWN if self._wrote else Outcome.FAIL
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            self._end(lost, Why.RESET)
            return
        if not data:
            self._end(lost, Why.WRONG if self._got else Why.CLOSED)
            return
        self._got += data
        if self._owner.expect in self._got:
            self._end(Outcome.OK, Why.NONE)
        elif len(self._got) > _LIMIT:
            self._end(lost, Why.WRONG)
