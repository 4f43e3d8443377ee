"""What clients and operators ask by HTTP, and what they are answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .centres import RECORD
from .server import Reply, Request, unquote
from .settings import LOCAL
from .store import OPERATIONS

if TYPE_CHECKING:
    from .node import Node

REFUSED, UNKNOWN = b'{"ok":false,"done":"no"}', b'{"ok":false,"done":"unknown"}'


class Api:
    """The requests of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_request(self, request: Request, reply: Reply) -> None:
        """Answer, now or later."""
        path = request.path
        if path.startswith("/kv/") and len(path) > len("/kv/"):
            self._on_key(unquote(path[len("/kv/") :]), request, reply)
        elif path == "/status":
            reply(200, json.dumps(self._node.status()).encode())
        elif path.startswith("/raft/"):
            self._node.on_peer(path, request.body, request.session, reply)
        elif path == "/members" and request.method == "POST":
            self._on_members(_words(request.query), reply)
        elif path == "/transfer" and request.method == "POST":
            heir = self._node.transfer(_words(request.query).get("to"))
            reply(200 if heir else 409, json.dumps({"heir": heir}).encode())
        else:
            reply(404, b'{"error":"no such path"}')

    def _on_members(self, words: dict[str, str], reply: Reply) -> None:
        """``?add=n4&at=127.0.0.1:7001`` or ``?remove=n1``, to the leader; answered when it is committed."""
        add, remove, (host, _, port) = words.get("add"), words.get("remove"), unquote(words.get("at", "")).rpartition(":")
        if (add is None) == (remove is None) or (add and not (host and port.isdigit())):
            reply(400, b'{"error":"?add=NAME&at=ADDRESS:PORT or ?remove=NAME"}')
            return
        place = {add: f"{host}:{port}"} if add else {}
        self._node.change_members(place, remove, lambda status, index: reply(status, b'{"index":%d}' % index))

    def _on_key(self, key: str, request: Request, reply: Reply) -> None:
        words = _words(request.query)
        op = {"GET": "get", "PUT": "put"}.get(request.method, words.get("do", ""))
        local = op == "get" and (words.get("local") == "1" or self._node.settings.reads == LOCAL)
        if key == RECORD:
            reply(400, b'{"error":"a key of the store itself"}')
            return
        mirror = self._node.mirror
        if mirror is not None and not local and mirror.relays():
            if "relayed" in words:
                reply(503, REFUSED)
            else:
                mirror.relay(f"{request.path}?do={op}&relayed=1", request.body, reply)
            return
        if op == "get":
            self._get(key, local, reply)
            return
        if request.method not in {"PUT", "POST"} or op not in OPERATIONS:
            reply(405, b'{"error":"GET, PUT, or POST with ?do=append, add or incr"}')
            return

        def done(status: int, index: int) -> None:
            if status == 200:
                reply(200, b'{"ok":true,"index":%d}' % index)
            else:
                reply(status, REFUSED if status == 503 else UNKNOWN)

        self._node.write(key, request.body.decode("utf-8", "surrogateescape"), op, done)

    def _get(self, key: str, local: bool, reply: Reply) -> None:
        def show(allowed: bool) -> None:
            found = self._node.store.get(key) if allowed else None
            if not allowed:
                reply(503, REFUSED)
            elif found is None:
                reply(404, b'{"missing":true}')
            else:
                reply(200, json.dumps({"value": found[0], "index": found[1]}).encode())

        if local:
            show(True)
        else:
            self._node.when_readable(show)


def _words(query: str) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in query.split("&")) if query else {}
