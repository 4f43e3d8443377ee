"""What refuses privileges in companies: an authorization plugin of the Docker engine, here one that a test starts.

The engine asks it about each request, with the request's body, as docs.docker.com/engine/extend/plugins_authorization says.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

NAME: Final = "nines-test-guard"
FOLDER: Final = Path("/run/docker/plugins")
"""Where an engine looks for the sockets of its plugins."""


def privilege(body: dict[str, Any]) -> str:
    """Which one a container that is to be made asks for; empty if none."""
    host = body.get("HostConfig") or {}
    capabilities = [name.removeprefix("CAP_") for name in host.get("CapAdd") or ()]
    if host.get("Privileged"):
        return "a privileged container"
    return "the capability NET_ADMIN" if "NET_ADMIN" in capabilities else ""


class _Guard(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer: dict[str, Any] = {"Implements": ["authz"]} if self.path == "/Plugin.Activate" else {"Allow": True}
        if self.path == "/AuthZPlugin.AuthZReq":
            asked = json.loads(given)
            if asked["RequestMethod"] == "POST" and asked["RequestUri"].partition("?")[0].endswith("/containers/create"):
                why = privilege(json.loads(base64.b64decode(asked.get("RequestBody") or "") or "{}"))
                answer = {"Allow": not why, "Msg": f"{why} is forbidden here" if why else ""}
        said = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test says what it saw."""

    def address_string(self) -> str:
        return "the engine"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def guard() -> Iterator[list[str]]:
    """The options of dockerd that make it ask; they hold while the block lasts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    socket = FOLDER / f"{NAME}.sock"
    socket.unlink(missing_ok=True)
    with _Server(str(socket), _Guard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield ["--authorization-plugin", NAME]
        finally:
            server.shutdown()
            socket.unlink(missing_ok=True)
