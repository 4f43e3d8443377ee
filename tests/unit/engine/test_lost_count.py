"""A network that the engine keeps for nobody: it is told what helps. Asked of a small server that answers as such an engine does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from chaos.engine import leftovers as leftovers_docker
from chaos.engine.leftovers import NETWORK, RUN

NETWORK_ID = "a" * 64


class Keeps(BaseHTTPRequestHandler):
    """Lists one network of the run and does not let it go; ``containers`` are those that it says are on it."""

    containers: ClassVar[dict[str, dict[str, str]]] = {}

    def _say(self, status: int, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Lists, and one network."""
        one = {"Id": NETWORK_ID, "Name": "nines-r-back", "Labels": {RUN: "r"}, "Containers": self.containers}
        path = self.path.split("?")[0]
        if path.endswith(NETWORK_ID):
            self._say(200, one)
        elif path.endswith("/networks"):
            self._say(200, [one])
        else:
            self._say(200, {"Volumes": []} if path.endswith("/volumes") else [])

    def do_DELETE(self) -> None:
        """As moby says it."""
        self._say(403, {"message": "error while removing network: network nines-r-back has active endpoints"})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def engine() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Keeps) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("containers", "helped"), [({}, True), ({"b" * 64: {"Name": "theirs"}}, False)])
def test_a_network_kept_for_nobody(engine: str, containers: dict[str, object], helped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never called gone; where somebody is on it, that is the reason, and no engine need be restarted for it."""
    from docker import APIClient

    monkeypatch.setattr(Keeps, "containers", containers)
    monkeypatch.setattr(leftovers_docker, "REMOVE_WITHIN_S", 0.0)
    ((kind, name, why),) = leftovers_docker.remove(APIClient(base_url=engine, version="1.41"), "r")
    assert (kind, name) == (NETWORK, "nines-r-back")
    assert "has active endpoints" in why
    assert ("has lost count: restart it" in why) is helped
