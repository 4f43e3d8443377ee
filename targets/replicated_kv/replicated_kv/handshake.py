"""Peers prove to each other that they know the cluster's secret, once for each connection, without saying it.

    caller  --> hello: who I am, a number nobody can foresee (nonce)
    called  --> who I am, a nonce of mine, HMAC(secret, "called", both nonces, both names)
    caller  --> HMAC(secret, "caller", both nonces, both names)

Each side's proof covers the other side's fresh nonce, so no recorded proof serves twice. The words "called" and "caller" keep a proof from
being sent back to whoever made it. What follows on the connection is neither signed nor encrypted.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable

HELLO, PROVE = "/raft/hello", "/raft/prove"


def proof(secret: bytes, role: str, caller: str, called: str, nonces: tuple[str, str]) -> str:
    """What only somebody who knows the secret can say."""
    return hmac.new(secret, json.dumps([role, caller, called, *nonces]).encode(), "sha256").hexdigest()


class Caller:
    """The side that opens a connection to the node ``called``."""

    def __init__(self, secret: bytes, name: str, called: str) -> None:
        self._secret, self._name, self._called = secret, name, called
        self._nonce = secrets.token_hex(16)

    def hello(self) -> bytes:
        """The first request."""
        return json.dumps({"node": self._name, "nonce": self._nonce}).encode()

    def prove(self, answer: bytes) -> bytes | None:
        """The second request; None if the other side is not the node that it should be, or knows not the secret."""
        try:
            said = json.loads(answer)
            nonces = (self._nonce, str(said["nonce"]))
            right = hmac.compare_digest(str(said["proof"]), proof(self._secret, "called", self._name, self._called, nonces))
        except (ValueError, KeyError, TypeError):
            return None
        return json.dumps({"proof": proof(self._secret, "caller", self._name, self._called, nonces)}).encode() if right else None


class Called:
    """The side that is called; ``session`` is what the server remembers of a connection, ``{"node": name}`` once that is proven."""

    def __init__(self, secret: bytes, name: str, known: Callable[[str], bool]) -> None:
        self._secret, self._name, self._known = secret, name, known

    def answer(self, path: str, body: bytes, session: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer to a hello or a proof."""
        try:
            said = json.loads(body)
            if path == HELLO:
                session.clear()
                session.update(caller=str(said["node"]), theirs=str(said["nonce"]), ours=secrets.token_hex(16))
                made = proof(self._secret, "called", session["caller"], self._name, (session["theirs"], session["ours"]))
                return 200, json.dumps({"nonce": session["ours"], "proof": made}).encode()
            nonces = (session.pop("theirs"), session.pop("ours"))
            right = hmac.compare_digest(str(said["proof"]), proof(self._secret, "caller", session["caller"], self._name, nonces))
        except (ValueError, KeyError, TypeError):
            return 401, b'{"error":"no handshake"}'
        if not right or not self._known(session["caller"]):
            return 401, b'{"error":"not one of us"}'
        session["node"] = session["caller"]
        return 200, b"{}"
