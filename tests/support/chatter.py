"""A system that was there before anybody attached to it: ``chatter.py PEER...`` serves HTTP on port 8000 and talks to its peers.

To each peer it holds two connections: on one it asks question after question, the other says nothing. ``GET /`` tells of each peer how
often each was opened, and how long the last answers took.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8000
AGAIN_S = 0.02
LATEST = 3
told: dict[str, dict[str, int]] = {}
latest: dict[str, deque[float]] = {}


def open_to(peer: str, what: str) -> socket.socket:
    connection = socket.create_connection((peer, PORT), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    told[peer][what] += 1
    return connection


def talk(peer: str) -> None:
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            asking = http.client.HTTPConnection(peer, PORT)
            asking.sock = open_to(peer, "talking")
            with asking.sock:
                while True:
                    began_s = time.monotonic()
                    asking.request("GET", "/ping")
                    asking.getresponse().read()
                    latest[peer].append(time.monotonic() - began_s)
                    time.sleep(AGAIN_S)
        time.sleep(AGAIN_S)


def hold(peer: str) -> None:
    while True:
        with contextlib.suppress(OSError), open_to(peer, "silent") as connection:
            connection.settimeout(None)
            connection.recv(1)
        time.sleep(AGAIN_S)


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        peers = {peer: {**counts, "shortest_s": min(latest[peer], default=None)} for peer, counts in told.items()}
        body = b"{}" if self.path == "/ping" else json.dumps(peers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def main() -> None:
    for peer in sys.argv[1:]:
        told[peer], latest[peer] = {"talking": 0, "silent": 0}, deque(maxlen=LATEST)
        for work in (talk, hold):
            threading.Thread(target=work, args=(peer,), daemon=True).start()
    ThreadingHTTPServer(("0.0.0.0", PORT), Web).serve_forever()


main()
