"""A question from inside a node to another one, as the node agent asks it for the harness. Standard library only."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from chaos.agent.agent_words import CLOSED, LARGEST_BODY_BYTES, MOST_BYTES, NOT_EXPECTED, NOT_HTTP
else:
    from agent_words import CLOSED, LARGEST_BODY_BYTES, MOST_BYTES, NOT_EXPECTED, NOT_HTTP  # beside this file, in the agent's own folder

Message = dict[str, Any]


def asked(host: str, port: int, request: str, timeout_s: float, expect: str | None = None, tls: bool = False) -> Message:
    """What came of a question: a whole HTTP reply, or why there was none. Without a request, a mere connect. ``tls``: encrypted.

    Each character of ``request`` and ``expect`` stands for one byte (Latin-1).
    With ``expect``, that text must come on the connection, after the request if there is one; it need not be HTTP.
    """
    # Loaded only now, and before any time is taken: most agents are never asked, and all of them start at once.
    import base64
    import http.client

    deadline_s = time.monotonic() + timeout_s
    sent_ns = time.monotonic_ns()

    def left_s() -> float:
        left = deadline_s - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    try:
        with connected(host, port, left_s, tls=tls) as connection:
            if not request and expect is None:
                return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns()}
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent_ns = time.monotonic_ns()
            connection.sendall(request.encode("latin-1"))
            if expect is not None:
                state = awaited(connection, expect.encode("latin-1"), left_s)
                return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns(), "state": state}
            connection.settimeout(left_s())
            reply = http.client.HTTPResponse(connection)
            reply.begin()
            connection.settimeout(left_s())
            body = reply.read(LARGEST_BODY_BYTES)
            at_ns = time.monotonic_ns()
    except (http.client.RemoteDisconnected, http.client.IncompleteRead):
        return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns(), "state": CLOSED}
    except OSError as error:
        number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno or errno.ECONNRESET
        return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns(), "errno": number, "state": os.strerror(number)}
    except http.client.BadStatusLine as error:
        told = f"{NOT_HTTP}: {str(error.args[0]).encode('iso-8859-1')!r}"
        return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns(), "state": told}
    except (http.client.HTTPException, ValueError) as error:  # a chunk size that is no number is a ValueError of http.client
        return {"sent_ns": sent_ns, "at_ns": time.monotonic_ns(), "state": f"{type(error).__name__}: {error}"}
    return {"sent_ns": sent_ns, "at_ns": at_ns, "status": reply.status, "body": base64.b64encode(body).decode()}


def connected(host: str, port: int, left_s: Callable[[], float], *, tls: bool) -> socket.socket:
    """A connection; encrypted, any certificate will do."""
    plain = socket.create_connection((host, port), timeout=left_s())
    if not tls:
        return plain
    import ssl

    try:
        plain.settimeout(left_s())
        return ssl._create_unverified_context().wrap_socket(plain, server_hostname=host)  # noqa: S323 - asked whether it answers
    except BaseException:
        plain.close()
        raise


def awaited(connection: socket.socket, text: bytes, left_s: Callable[[], float]) -> str:
    """Empty once the text has come; else why it did not."""
    came = b""
    while text not in came:
        connection.settimeout(left_s())
        data = connection.recv(4096)
        if not data or len(came) > MOST_BYTES:
            return NOT_EXPECTED if came else CLOSED
        came += data
    return ""
