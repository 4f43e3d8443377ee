"""What is started in pods of ours: commands, pure. The paths are those of the image of Nines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_PYTHON: Final = ("python3", "-I", "-S")
_AGENT: Final = "/opt/nines/agent"
ENTER: Final = (*_PYTHON, f"{_AGENT}/agent_enter.py")
"""Start what follows in the network of a pod (``NINES_GUEST_POD``)."""
GUEST: Final = (*_PYTHON, f"{_AGENT}/agent_guest.py")
MACHINE: Final = (*_PYTHON, f"{_AGENT}/agent_machine.py")
AGENT: Final = (*_PYTHON, f"{_AGENT}/agent.py")
SIDECAR: Final = ("env", "NINES_ENDS_WITH_INPUT=1", *_PYTHON, f"{_AGENT}/agent_gate.py")
"""The agent in a pod of ours, started in its sidecar."""
AWAIT_END: Final = (
    "sh", "-c",
    'n=0; while ls "$NINES_STATE"/runs/*.json >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 80 ] || exit 1; sleep 0.5; done',
)  # fmt: skip
"""Until the harness has taken its run out of its registry, which it does when all is rolled back; at most 40 s."""
OPEN_MACHINE: Final = (
    "nsenter", "-t", "1", "-n", "--", "sh", "-c",
    "if nft list table inet nines_host >/dev/null 2>&1; then nft delete table inet nines_host; fi",
)  # fmt: skip
"""The rules of a cut whose agent was killed; its kernel has ended it by then."""
HARNESS: Final = ("python3", "-m", "chaos.cli.beside")


def in_pod(uid: str, command: Sequence[str], **more: str) -> tuple[str, ...]:
    """A command that knows of a pod; ``exec`` can set no environment, so ``env`` does."""
    words = {"NINES_GUEST_POD": uid, **more}
    return ("env", *(f"{name}={value}" for name, value in words.items()), *command)


def guest(uid: str, container: str, *, shared: bool) -> tuple[str, ...]:
    """A guest of that container, over all its lives in that pod; ``shared``: its containers share the namespace of processes."""
    more = {"NINES_GUEST_SHARES": "1"} if shared else {}
    return in_pod(uid, (*ENTER, *GUEST), NINES_GUEST_OF=container, NINES_ENDS_WITH_INPUT="1", **more)


def loader(uid: str, container: str) -> tuple[str, ...]:
    """Who loads that container of a pod of ours: a guest that sees its processes, and stands in no network but its own pod's."""
    return in_pod(uid, GUEST, NINES_GUEST_OF=container, NINES_GUEST_SHARES="1", NINES_ENDS_WITH_INPUT="1")


def lodger(container: str) -> tuple[str, ...]:
    """A guest in a container of the pod's own, whose network it has: it sees no process of that container."""
    return ("env", "NINES_NO_SYSTEM=1", f"NINES_GUEST_OF={container}", "NINES_ENDS_WITH_INPUT=1", *GUEST)


def own_clients() -> tuple[str, ...]:
    """Who stands where the clients are, where that is our own pod."""
    return ("env", "NINES_NO_SYSTEM=1", "NINES_ENDS_WITH_INPUT=1", *AGENT)


def machine() -> tuple[str, ...]:
    """Who stands in the network of the machine itself."""
    return ("env", "NINES_ENDS_WITH_INPUT=1", "nsenter", "-t", "1", "-n", "--", *MACHINE)


def clients(uid: str) -> tuple[str, ...]:
    """Who stands where the clients are."""
    return in_pod(uid, (*ENTER, *AGENT), NINES_NO_SYSTEM="1", NINES_ENDS_WITH_INPUT="1")
