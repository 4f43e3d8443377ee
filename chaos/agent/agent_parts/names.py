"""The addresses that a name has here, as the programs in this namespace would find them.

{"do": "names.resolve", "name": "web"}  ->  {"result": {"addresses": "198.18.0.3 198.18.0.4", "why": ""}}
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol


class Agent(Protocol):
    """What is needed of ``agent.Agent``."""

    def later(self, number: object, work: Callable[[], dict[str, Any]]) -> None:
        """Do it in a thread, and answer the command of this number with what it returns."""
        ...


def resolved(name: str) -> dict[str, str]:
    """IPv4 and IPv6 addresses in the order of the answer, each once; without any, ``why`` says what the resolver said."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return {"addresses": "", "why": error.strerror or str(error)}
    return {"addresses": " ".join(dict.fromkeys(str(address[0]) for *_, address in found)), "why": ""}


def do_resolve(agent: Agent, command: dict[str, Any]) -> None:
    """The resolver may take its whole time-out, so a thread waits for it."""
    agent.later(command["id"], lambda: {"result": resolved(command["name"])})


def heal(_agent: object) -> list[str]:
    """Nothing was changed."""
    return []
