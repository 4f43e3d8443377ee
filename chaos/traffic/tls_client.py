"""Encrypted connections of the prober: the handshake runs in the loop like anything else. How they are written: ``tls_options``."""

from __future__ import annotations

import socket
import ssl
import sys

from chaos.core import tls
from chaos.history.observations import Outcome, Why
from chaos.traffic.http_client import Connection, Home, Pool, why_not_connected
from chaos.traffic.probe import Slot


class Client:
    """What the encrypted connections of one operation share. What fails is said once on standard error, which is the prober's log."""

    def __init__(self, trust: tls.Trust, operation: str) -> None:
        self._context: ssl.SSLContext = tls.context(trust)
        self._name = trust.name
        self._operation = operation
        self._told: set[str] = set()

    @property
    def connection(self) -> type[Connection]:
        """What a pool makes of them."""
        return TlsConnection

    def tell(self, address: str, why: str) -> None:
        """Why no connection to there could be encrypted."""
        said = f"{self._operation}: no encrypted connection to {address}: {why}"
        if said not in self._told:
            self._told.add(said)
            print(said, file=sys.stderr, flush=True)

    def wrap(self, connection: socket.socket, address: str) -> tls.Wire:
        """A connected socket, before its handshake."""
        return tls.Wire(connection, self._context, self._name or address)


class TlsConnection(Connection):
    """One connection of a pool: the plain one, with a handshake before its first request."""

    __slots__ = ("_shaken", "_wire")

    def __init__(self, pool: Pool, address: str, home: Home) -> None:
        super().__init__(pool, address, home)
        self._wire: tls.Wire | None = None
        self._shaken = False

    def _writable(self) -> None:
        if self._shaken:
            super()._writable()
            return
        if self.gone:
            return
        if self._wire is None:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                self._fail(*why_not_connected(number))
                return
            assert self._pool.client is not None
            self._wire = self._pool.client.wrap(self._socket, self.address)
            self._socket = self._wire.socket
        self._shake(self._wire)

    def _shake(self, wire: tls.Wire) -> None:
        loop = self._pool.loop
        try:
            step = wire.shake()
        except tls.Refused as error:
            assert self._pool.client is not None
            self._pool.client.tell(self.address, error.strerror or "")
            self._fail(Outcome.FAIL, Why.TLS)
            return
        except OSError:
            self._fail(Outcome.FAIL, Why.RESET)
            return
        if step == tls.WRITES:
            loop.add_writer(self._fd, self._writable)
        elif step == tls.READS:
            loop.remove_writer(self._fd)
        else:
            self._shaken = True
            self._recv, self._send = wire.recv, wire.send
            loop.add_writer(self._fd, self._writable)  # until the whole request is sent
            super()._writable()

    def _readable(self) -> None:
        if not self._shaken:
            if self._wire is not None and not self.gone:
                self._shake(self._wire)
            return
        super()._readable()
        wire = self._wire
        assert wire is not None
        while not self.gone and wire.pending():
            super()._readable()

    def still_open(self) -> bool:
        """As of a plain connection. Its own records, such as tickets for later sessions, are read over."""
        if self.gone:
            return False
        try:
            self._recv(1)
        except BlockingIOError:
            return True
        except OSError:
            pass
        self.drop()
        return False

    def ask(self, slot: Slot, data: bytes) -> bool:
        """As of a plain connection, which a connection without a handshake is not yet."""
        return self._shaken and super().ask(slot, data)
