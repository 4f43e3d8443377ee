"""TLS on sockets that do not block: what is trusted and shown, and one connection as its user sees it, a socket that may ask for patience.

    wire = Wire(connected_socket, context, "web.example")
    wire.shake()                 READS or WRITES: again when that is possible; DONE: it is encrypted from now on
    wire.recv(n), wire.send(b)   as of a plain socket: ``BlockingIOError`` where there is nothing to be had now

Nothing here waits, so that a handshake takes its time in the same loop as everything else.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import ssl

READS, WRITES, DONE = "reads", "writes", "done"
ANY_CERTIFICATE: Final = "any certificate"


class Trust(msgspec.Struct, frozen=True):
    """Whom a client believes and what it shows, as PEM texts. ``ca`` empty: the authorities that the system trusts.

    ``verify`` false: anybody's certificate will do. ``name``: whom the certificate must be for; empty: whom the client connects to.
    """

    verify: bool = True
    ca: str = ""
    certificate: str = ""
    key: str = ""
    name: str = ""


class NotTls(ValueError):
    """A certificate or key cannot be used; the message says why."""


class Refused(OSError):
    """The handshake failed: by a certificate that is not believed, or by the other side."""


def context(trust: Trust) -> ssl.SSLContext:
    """A client's; ``NotTls`` for what cannot be loaded."""
    import ssl

    try:
        made = ssl.create_default_context(cadata=trust.ca or None)
    except (ssl.SSLError, ValueError) as error:
        raise NotTls(f"holds no certificate in PEM form: {_said(error)}") from None
    if not trust.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if trust.certificate:
        _show(made, trust.certificate, trust.key)
    return made


def _show(made: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have the client show its certificate. OpenSSL reads both from a file only: one that others cannot read, and that is gone at once."""
    import ssl
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="nines-", dir=_memory()) as file:
        file.write(f"{certificate}\n{key}".encode())
        file.flush()
        try:
            made.load_cert_chain(file.name, password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise NotTls(f"holds no certificate with its unencrypted key in PEM form: {_said(error)}") from None


def _memory() -> str | None:
    """A folder that no disk holds, where there is one."""
    import os

    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a file with a name of its own there


class Wire:
    """One connected socket, encrypted. Its descriptor stays the same; the socket that was given may not be used any more."""

    __slots__ = ("_shaken", "fileno", "pending", "socket")

    def __init__(self, plain: socket.socket, trusted: ssl.SSLContext, name: str) -> None:
        self.socket = trusted.wrap_socket(plain, do_handshake_on_connect=False, server_hostname=name)
        self.fileno = self.socket.fileno
        self.pending = self.socket.pending
        """How many bytes have come and are decrypted, so that no descriptor says so any more."""
        self._shaken = False

    def shake(self) -> str:
        """One step of the handshake; ``Refused``, or another ``OSError``, if it failed."""
        import ssl

        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            return READS
        except ssl.SSLWantWriteError:
            return WRITES
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionResetError(*error.args) from None  # it went in the middle of its handshake: killed, not unwilling
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise Refused(0, _said(error)) from None
        self._shaken = True
        return DONE

    def recv(self, size: int) -> bytes:
        """Empty at the end of the connection."""
        import ssl

        try:
            return self.socket.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise Refused(0, _said(error)) from None

    def send(self, data: bytes) -> int:
        """How much of it was taken."""
        import ssl

        try:
            return self.socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise BrokenPipeError(0, _said(error)) from None

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As of a socket."""
        self.socket.setsockopt(level, option, value)

    def close(self) -> None:
        """At once, without a farewell of TLS."""
        with contextlib.suppress(OSError):
            self.socket.close()


def _said(error: Exception) -> str:
    """What OpenSSL says, without where in its source it says so."""
    verify = getattr(error, "verify_message", "")
    reason = getattr(error, "reason", None) or str(error)
    return verify or str(reason).replace("_", " ").lower()
