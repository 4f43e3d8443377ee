"""``tcp``: connect anew for every attempt; if asked, send a text and expect one in the answer. Always closed by reset.

tcp: "{address}:{client}"
send: "PING\\r\\n"            escapes: \\r \\n \\t \\0 \\\\ and \\xNN for any byte
expect: "+PONG"              without ``send`` it is awaited as a greeting; without both, a connection is a success
tls: true                    encrypted from the first byte; further options as in ``tls_options``: ca, cert, cert_key, server_name, verify
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Final

from chaos.core import tls
from chaos.core.errors import BadInput
from chaos.experiment import tls_options
from chaos.experiment.probe_options import checked_host
from chaos.history.observations import Outcome, Why
from chaos.query.question import as_bytes, unescaped
from chaos.traffic.http_client import LINGER_0, encrypted, why_not_connected
from chaos.traffic.probe import Probe, Setup, Slot, Template, Written, reads

OPTIONS: Final = {
    "what": "host:port", "send": "A text that is sent; escapes are \\r \\n \\t \\0 \\\\ and \\xNN",
    "expect": "A text that must come", "tls": "true: encrypted from the first byte", **tls_options.OPTIONS,
}  # fmt: skip
_LIMIT: Final = 1 << 20


class Talk:
    """What the options of one operation say, checked."""

    def __init__(self, written: Written) -> None:
        written.allow(OPTIONS)
        what = written.option("what").strip()
        host, _, port = what.rpartition(":")
        if not host or not port or "/" in what:
            raise written.wrong("what", f"'{what}' is not host:port", "write it like {address}:{client}")
        self.port = written.port(port)
        self.host: str | None = None if host == "{address}" else checked_host(written, host)
        self.text: Template = written.template(_unescaped(written, "send"), "send")
        self.expect = as_bytes(_unescaped(written, "expect"))
        self.trust: tls.Trust | None = None
        if written.flag("tls"):
            self.trust = tls_options.trust(written, self.host)
        else:
            tls_options.refuse(written, "tls: true with it")


def _unescaped(written: Written, option: str) -> str:
    try:
        return unescaped(written.options.get(option, ""))
    except BadInput as refusal:
        raise written.wrong(option, refusal.message, refusal.right) from None


@reads(Talk, OPTIONS)
def build(setup: Setup) -> Probe:
    """The sender of one TCP operation."""
    return TcpProbe(setup)


class TcpProbe:
    """See the module."""

    def __init__(self, setup: Setup) -> None:
        asked = Talk(setup)
        self.host = asked.host
        self.port = asked.port
        self.loop = setup.loop
        self.text = asked.text
        self.expect = asked.expect
        self.client = None if asked.trust is None else encrypted(asked.trust, setup.operation)
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

    __slots__ = ("_got", "_left", "_owner", "_shaken", "_slot", "_socket", "_wrote")

    def __init__(self, owner: TcpProbe, sock: socket.socket, slot: Slot) -> None:
        self._owner = owner
        self._socket: socket.socket | tls.Wire = sock
        self._shaken = owner.client is None
        self._slot: Slot | None = slot
        self._left = as_bytes(owner.text.render(slot))
        self._got = b""
        self._wrote = False
        owner.open.add(self)
        slot.carrier = self

    def connect(self) -> None:
        """Begin."""
        assert self._slot is not None
        assert isinstance(self._socket, socket.socket)
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
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self._socket.close()

    def _end(self, outcome: Outcome, why: Why) -> None:
        slot, self._slot = self._slot, None
        self._drop()
        if slot is not None:
            slot.end(outcome, why)

    def _writable(self) -> None:
        if self._slot is None:
            return
        if isinstance(self._socket, socket.socket):
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number and not self._wrote:
                self._end(*why_not_connected(number))
                return
            if self._owner.client is not None:
                self._socket = self._owner.client.wrap(self._socket, self._slot.address)
        if not self._shaken and not self._shake():
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

    def _shake(self) -> bool:
        """One step of the handshake; true once it is done."""
        wire, loop = self._socket, self._owner.loop
        assert isinstance(wire, tls.Wire)
        assert self._owner.client is not None
        assert self._slot is not None
        try:
            step = wire.shake()
        except tls.Refused as error:
            self._owner.client.tell(self._slot.address, error.strerror or "")
            self._end(Outcome.FAIL, Why.TLS)
            return False
        except OSError:
            self._end(Outcome.FAIL, Why.RESET)
            return False
        self._shaken = step == tls.DONE
        if step == tls.READS:
            loop.remove_writer(wire.fileno())
            loop.add_reader(wire.fileno(), self._writable)
        else:
            loop.remove_reader(wire.fileno())
            loop.add_writer(wire.fileno(), self._writable)
        return self._shaken

    def _readable(self) -> None:
        self._read()
        wire = self._socket
        while self._slot is not None and isinstance(wire, tls.Wire) and wire.pending():
            self._read()

    def _read(self) -> None:
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
