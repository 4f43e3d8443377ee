"""The question of clients, from one word of the command line: ``http://web:8080/`` or ``tcp://cache:6379``."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from chaos.core.errors import BadInput

HTTP: Final = ("http", "https")
_URL: Final = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>[^/:\s\[\]]+)(?::(?P<port>\d{1,5}))?(?P<path>/\S*)?", re.ASCII)
_EXAMPLES: Final = "--probe http://web:8080/, or --probe tcp://cache:6379 --send 'PING\\r\\n' --expect +PONG"
HERE: Final = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - what people write
EVERY_NODE: Final = "{address}"
"""In place of a host: clients know the addresses of all nodes."""


class Asked(msgspec.Struct, frozen=True):
    """What clients ask, and of whom."""

    scheme: str
    host: str
    port: int
    path: str = "/"
    send: str = ""
    expect: str = ""

    @property
    def operation(self) -> dict[str, str]:
        """As an operation of an experiment."""
        if self.scheme in HTTP:
            usual = self.port == (443 if self.scheme == "https" else 80)
            return {"http": f"{self.scheme}://{self.host}{'' if usual else f':{self.port}'}{self.path}"}
        return {"tcp": f"{self.host}:{self.port}", "send": self.send, "expect": self.expect}


class Question(msgspec.Struct, frozen=True):
    """The same for faults by hand: as an operation, and as the question of a node."""

    operation: dict[str, str]
    asked: dict[str, str]


def question_of(url: str, send: str, expect: str) -> Question:
    """``http://{address}:8080/`` or ``tcp://{address}:6379``; ``--send`` and ``--expect`` are of tcp."""
    try:
        found = asked(url, send if url.startswith("tcp:") else "", expect if url.startswith("tcp:") else "")
    except BadInput as refusal:
        raise BadInput(f"--ask: {refusal.message}", right=(refusal.right or "").replace("--probe", "--ask")) from None
    if found.scheme in HTTP:
        return Question(found.operation, {"http": f"{found.scheme}://{EVERY_NODE}:{found.port}{found.path}"})
    told = {"send": found.send, "expect": found.expect}
    return Question(found.operation, {"tcp": f"{EVERY_NODE}:{found.port}"} | {key: text for key, text in told.items() if text})


def asked(url: str | None, send: str, expect: str) -> Asked:
    """The question; ``BadInput`` with what is missing, by its name: nothing of it can be known from a compose file."""
    if not url:
        raise BadInput("nothing says what clients ask", right=_EXAMPLES)
    found = _URL.fullmatch(url)
    if found is None or found["scheme"] not in (*HTTP, "tcp"):
        raise BadInput(f"'{url}' is no question of clients", right=_EXAMPLES)
    if found["host"] in HERE:
        what = f"'{found['host']}' is the client itself: clients ask from a container on the project's network"
        raise BadInput(what, right=f"the service and the port inside of its container: --probe {found['scheme']}://web:8080/")
    port = int(found["port"] or {"http": 80, "https": 443}.get(found["scheme"], 0))
    if not 0 < port < 1 << 16:
        what = f"'{url}' names no port" if not found["port"] else f"port {port} does not exist"
        raise BadInput(what, right=_EXAMPLES)
    if found["scheme"] == "tcp":
        if not expect:
            what = "a program that is frozen still accepts connections: only an answer shows that it serves"
            raise BadInput(what, right="--send and --expect, such as --send 'PING\\r\\n' --expect +PONG")
        return Asked("tcp", found["host"], port, "", send, expect)
    if send or expect:
        raise BadInput("--send and --expect are of tcp", right="leave them out: an answer with a status of 2xx is a good one")
    return Asked(found["scheme"], found["host"], port, found["path"] or "/")
