"""The standard streams of a process that is started in a container of a pod (``exec``), over one WebSocket to the API server.

Each message is a channel number and data: 0 standard input, 1 output, 2 error, 3 how it ended as JSON; with the protocol v5, 255 ends the
channel that it names (kubernetes/community, sig-api-machinery, "WebSockets"). Older servers speak v4, which cannot end the input alone:
closing the connection does.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.access import PIP_LINE
from chaos.kube.api import Api, place

STDIN, STDOUT, STDERR, ENDED, CLOSE = 0, 1, 2, 3, 255
PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
PIECE_BYTES: Final = 32_000
CONNECT_WITHIN_S: Final = 15.0


class Exec:
    """One process. One thread may read while others write; ``close`` wakes the reader, and ends the process's input."""

    def __init__(self, api: Api, namespace: str, pod: str, container: str, command: Sequence[str]) -> None:
        try:
            import websocket
        except ImportError:
            raise EnvironmentUnusable("streams of a pod need the package 'websocket-client'", how=PIP_LINE) from None
        self._module: Any = websocket
        self.how = ""
        """How it ended, in the server's words; empty while that is not known."""
        self.ok = False
        """It ended by itself with the status 0."""
        access = api.access
        query = [("command", word) for word in command]
        query += [("container", container), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        url = f"ws{access.server.removeprefix('http')}/{place('pods', namespace, pod)}/exec?{urlencode(query)}"
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if access.verifies else ssl.CERT_NONE}
        if access.verifies and access.authority is not None:
            options["ca_certs"] = access.authority
        if not access.verifies:
            options["check_hostname"] = False
        if access.certificate is not None:
            options["certfile"], options["keyfile"] = access.certificate
        if access.server_name is not None:
            options["server_hostname"] = access.server_name
        self._lock = threading.Lock()
        """A TLS connection must not be used by two at once."""
        self._wire: Any
        self._closed = False
        try:
            self._wire = self._module.create_connection(
                url, timeout=CONNECT_WITHIN_S, sslopt=options, header=[f"{key}: {value}" for key, value in access.headers().items()],
                subprotocols=list(PROTOCOLS), sockopt=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            )  # fmt: skip
        except (websocket.WebSocketException, OSError) as error:
            raise EnvironmentUnusable(
                f"a process cannot be started in the pod {namespace}/{pod} ({container}): {_said(error)}",
                how="the right 'create pods/exec', and a pod that runs",
            ) from error

    def read(self, within_s: float) -> list[tuple[int, bytes]] | None:
        """(stream, data) of all that has come, an empty list if nothing did in time; None when there will be no more."""
        if not self._pending() and not self._readable(within_s):
            return []
        found: list[tuple[int, bytes]] = []
        while True:
            message = self._message()
            if message is None:
                return found or None
            if message and message[0] in (STDOUT, STDERR) and len(message) > 1:
                found.append((message[0], message[1:]))
            elif message and message[0] == ENDED:
                self._note_end(message[1:])
            if not self._pending() and not self._readable(0.0):
                return found

    def _readable(self, within_s: float) -> bool:
        """Something came, or it ended. Not ``poll``, which Windows lacks."""
        wire = self._wire.sock
        if wire is None or wire.fileno() < 0:
            return True
        with selectors.DefaultSelector() as waiting:
            waiting.register(wire, selectors.EVENT_READ)
            return bool(waiting.select(within_s))

    def write(self, data: bytes) -> None:
        """To its standard input; ``OSError`` when it is gone. Callers take turns."""
        for start in range(0, len(data), PIECE_BYTES):
            self._send(bytes([STDIN]) + data[start : start + PIECE_BYTES])

    def end_input(self) -> None:
        """It sees the end of its input, where the server can say so."""
        if self._wire.subprotocol == PROTOCOLS[0]:
            with contextlib.suppress(OSError):
                self._send(bytes([CLOSE, STDIN]))

    def close(self) -> None:
        """Detach."""
        self._closed = True
        with contextlib.suppress(OSError, AttributeError):
            self._wire.sock.shutdown(socket.SHUT_RDWR)

    def _send(self, message: bytes) -> None:
        try:
            with self._lock:
                self._wire.send_binary(message)
        except (self._module.WebSocketException, AttributeError) as error:
            raise OSError(f"the stream of the pod is closed ({error})") from error

    def _pending(self) -> bool:
        """TLS has read more from the connection than was asked for."""
        connection = self._wire.sock
        return bool(connection is not None and hasattr(connection, "pending") and connection.pending())

    def _message(self) -> bytes | None:
        """The next one; None at the end."""
        try:
            with self._lock:
                operation, data = self._wire.recv_data(control_frame=True)
        except (self._module.WebSocketException, OSError, AttributeError):
            return None
        if operation == self._module.ABNF.OPCODE_CLOSE:
            return None
        return bytes(data) if operation in (self._module.ABNF.OPCODE_BINARY, self._module.ABNF.OPCODE_TEXT) else b""

    def _note_end(self, said: bytes) -> None:
        try:
            status = json.loads(said)
        except ValueError:
            self.how = said.decode(errors="replace")
            return
        self.ok = status.get("status") == "Success"
        self.how = "exit status 0" if self.ok else str(status.get("message") or status.get("reason") or status)


def run(api: Api, namespace: str, pod: str, container: str, command: Sequence[str], within_s: float) -> tuple[bool, str]:
    """A short command to its end: whether it ended well, and all that it said."""
    import time

    process = Exec(api, namespace, pod, container, command)
    said, until_s = b"", time.monotonic() + within_s
    try:
        while time.monotonic() < until_s and (pieces := process.read(max(0.0, until_s - time.monotonic()))) is not None:
            said += b"".join(data for _, data in pieces)
    finally:
        process.close()
    return process.ok, said.decode(errors="replace")


def _said(error: Exception) -> str:
    """The server's own words stand in the body of its refusal."""
    body: Any = getattr(error, "resp_body", None)
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error) or type(error).__name__
