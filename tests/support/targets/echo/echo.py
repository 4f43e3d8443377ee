"""A node that answers everything at once: ``echo.py NODE ADDRESS CLIENT_PORT PEER_PORT STARTUP PEER=ADDRESS,...``.

It leads as long as it is the first of the list that can be reached: it asks those before it, each on its peer port.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import URLError
from urllib.request import urlopen

ASK_EVERY_S = 0.05
ANSWER_WITHIN_S = 0.5
"""A dead process refuses at once; only a silent one costs this long. Shorter, and a busy machine would make two leaders of a hiccup."""


class State:
    """What this node is."""

    leads = False
    ready = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        status = 503 if self.path == "/ready" and not State.ready else 200
        body = json.dumps({"leader": State.leads, "voting": State.ready, "clock_s": time.time()}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer

    def log_message(self, *_: object) -> None:
        """Silent: one line a request would be many."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=ANSWER_WITHIN_S):
            return True
    except (URLError, OSError):
        return False


def main() -> None:
    node, address, client, peer, startup, peers = sys.argv[1:]
    addresses = dict(item.split("=") for item in peers.split(","))
    before = [addresses[name] for name in sorted(addresses) if name < node]
    for port in (client, peer):
        threading.Thread(target=Server((address, int(port)), Handler).serve_forever, daemon=True).start()
    print(f"{node} listens", flush=True)
    time.sleep(float(startup.removesuffix("s")))
    State.ready = True
    while True:
        State.leads = not any(answers(f"http://{other}:{peer}/ping") for other in before)
        time.sleep(ASK_EVERY_S)


if __name__ == "__main__":
    main()
