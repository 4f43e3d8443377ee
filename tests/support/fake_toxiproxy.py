"""A server with Toxiproxy's interface that misbehaves when told to: it keeps proxies and toxics, and moves no bytes."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import msgspec

HANG = -1
JSON_AS_TEXT = "text/plain; charset=utf-8"

HTML_503 = (503, "text/html", b"<html><head><title>Service Unavailable</title></head><body>service is &quot;busy&quot;</body></html>")


class FakeToxiproxy:
    """``say`` makes the next calls of a method on paths ending so answer something of our choosing; ``calls`` is what came."""

    def __init__(self, address: str = "127.0.0.1", version: bytes = b'{"version": "2.12.0"}\n', *, patch: bool = True) -> None:
        self.version = version
        self.patch = patch
        self.proxies: dict[str, dict[str, object]] = {}
        self.calls: list[str] = []
        self.deaf_to: set[str] = set()
        """Methods and path ends that are answered with a yes and not done."""
        self._said: list[tuple[str, str, tuple[int, str, bytes], int]] = []
        self._go_on = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                fake._handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server((address, 0), Handler)
        self.host, self.port = address, self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def say(self, method: str, path_end: str, status: int, kind: str = JSON_AS_TEXT, body: bytes = b"", times: int = 1) -> None:
        """Instead of doing it; ``HANG`` as status answers nothing until the end."""
        self._said.append((method, path_end, (status, kind, body), times))

    def close(self) -> None:
        self._go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, call: BaseHTTPRequestHandler) -> None:
        body = call.rfile.read(int(call.headers.get("Content-Length") or 0))
        self.calls.append(f"{call.command} {call.path}")
        for at, (method, path_end, reply, times) in enumerate(self._said):
            if method == call.command and call.path.endswith(path_end):
                self._said[at : at + 1] = [(method, path_end, reply, times - 1)] if times > 1 else []
                break
        else:
            reply = self._answer(call.command, call.path, msgspec.json.decode(body or b"{}"))
        status, kind, content = reply
        if status == HANG:
            self._go_on.wait(30)
            call.close_connection = True
            return
        call.send_response(status)
        call.send_header("Content-Type", kind)
        call.send_header("Content-Length", str(len(content)))
        call.end_headers()
        call.wfile.write(content)

    def _answer(self, method: str, path: str, body: dict[str, object]) -> tuple[int, str, bytes]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if any(f"{method} {path}".startswith(method_path) or f"{method} {path}".endswith(method_path) for method_path in self.deaf_to):
            return 204 if method == "DELETE" else 200, "application/json", msgspec.json.encode(self.proxies.get(parts[1], {}))
        if parts == ["version"]:
            return 200, "application/json", self.version
        if method == "PATCH" and not self.patch:
            return 405, "text/plain", b""
        if parts == ["proxies"]:
            return self._all(method, body)
        proxy = self.proxies.get(parts[1])
        if proxy is None:
            return _error(404, "proxy not found")
        return self._one(method, parts[1], proxy, body) if len(parts) == 2 else self._toxic(method, parts, proxy, body)

    def _all(self, method: str, body: dict[str, object]) -> tuple[int, str, bytes]:
        if method == "GET":
            return _yes(200, self.proxies)
        name = str(body["name"])
        if name in self.proxies:
            return _error(409, "proxy already exists")
        self.proxies[name] = {**body, "toxics": []}
        return _yes(201, self.proxies[name])

    def _one(self, method: str, name: str, proxy: dict[str, object], body: dict[str, object]) -> tuple[int, str, bytes]:
        if method == "DELETE":
            del self.proxies[name]
            return 204, JSON_AS_TEXT, b""
        if method != "GET":
            proxy.update(body)
        return _yes(200, proxy)

    def _toxic(self, method: str, parts: list[str], proxy: dict[str, object], body: dict[str, object]) -> tuple[int, str, bytes]:
        toxics = proxy["toxics"]
        assert isinstance(toxics, list)
        name = parts[3] if len(parts) == 4 else body["name"]
        found = next((toxic for toxic in toxics if toxic["name"] == name), None)
        if len(parts) == 3:
            if found is not None:
                return _error(409, "toxic already exists")
            toxics.append(body)
            return _yes(200, body)
        if found is None:
            return _error(404, "toxic not found")
        if method == "DELETE":
            toxics.remove(found)
            return 204, JSON_AS_TEXT, b""
        found.update(body)
        return _yes(200, found)


def _yes(status: int, content: object) -> tuple[int, str, bytes]:
    return status, "application/json", msgspec.json.encode(content)


def _error(status: int, message: str) -> tuple[int, str, bytes]:
    return status, JSON_AS_TEXT, msgspec.json.encode({"error": message, "status": status}) + b"\n"
