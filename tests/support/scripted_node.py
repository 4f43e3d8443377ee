"""A node for tests of helper processes: an HTTP listener that does as it is told, and a talker to a helper process."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from chaos.history.events import Row

WITHIN_S = 20.0
"""How long a test waits for something that must happen; only a failing test waits so long."""


class ScriptedNode:
    """Answers every request with ``status`` and ``body``; ``hang`` makes it say nothing; ``stop`` frees the port."""

    def __init__(self, address: str, port: int = 0, body: object = None) -> None:
        self.address = address
        self.port = port
        self.body: object = body if body is not None else {}
        self.status = 200
        self.requests = 0
        self._hang = threading.Event()
        self._go_on = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.start()

    def start(self) -> None:
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                node.requests += 1
                if node._hang.is_set():
                    node._go_on.wait(WITHIN_S)
                    self.close_connection = True
                    return
                content = msgspec.json.encode(node.body)
                self.send_response(node.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def handle(self) -> None:
                node._open.add(self.connection)
                try:
                    super().handle()
                except OSError:
                    self.close_connection = True
                finally:
                    node._open.discard(self.connection)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._open: set[socket.socket] = set()
        self._server = Server((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """As if killed: the port refuses, open connections are cut."""
        self._go_on.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def hang(self, *, on: bool) -> None:
        """From now on say nothing, or answer again."""
        if on:
            self._go_on.clear()
            self._hang.set()
        else:
            self._hang.clear()
            self._go_on.set()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


class Helper:
    """A helper process: its rows, one by one, and its end."""

    def __init__(self, module: str, spec: msgspec.Struct, folder: Path) -> None:
        path = folder / "spec.json"
        path.write_bytes(msgspec.json.encode(spec))
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def line(self) -> bytes:
        """The next line as it was printed."""
        return self._lines.get(timeout=WITHIN_S)

    def ready(self) -> None:
        assert msgspec.json.decode(self.line()) == {"ready": True}

    def row(self) -> Row:
        """The next row; fails if none comes."""
        row: Row = msgspec.json.decode(self.line(), type=Row)
        return row

    def order(self, order: msgspec.Struct) -> None:
        """One line on its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()

    def no_more_rows(self) -> bool:
        """True if nothing is waiting to be read."""
        return self._lines.empty()

    def end(self) -> int:
        """Close its input and wait for its end; the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(WITHIN_S)
        self._thread.join(WITHIN_S)
        return status

    def stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def drop(self) -> None:
        """Leave nothing behind, however the test ended."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def free_port(address: str) -> int:
    """A port that nothing listens on, for UDP and TCP."""
    with socket.create_server((address, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
