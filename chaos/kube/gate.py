"""The gate: a few lines of shell that stand in front of a system's command in a pod of ours, pure.

Kubelet alone starts containers, and waits longer with each death. Where Nines is to decide when a node lives again, the container must
not die with it: the gate stays, and starts the system again when it is told to. Where kubelet is to decide (``recovery: policy``), the gate
waits for the first start only, and becomes the system, so that its death is the container's.

A pod that is deleted is told to end by a signal to its containers' first process, which is the gate. What stands before its stop
(``STOP``) hands that signal on to the system, and the gate ends when the system has.

All is done by the shell itself: a program that the gate started would be taken for the system. Two dollars in a container's command are
one to Kubernetes.
The command is not in the pod's manifest at all: it names addresses of peers, which nobody knows before all pods are there.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

GATE: Final = "nines-gate"
"""By this word the agent knows it (``chaos/agent/agent_gate.py``)."""
FOLDER: Final = "/nines/gate"
"""Which agent and gate share (``chaos/agent/agent_parts/gate.py``)."""
KEEPS: Final = "keeps"
ONCE: Final = "once"
_SCRIPT: Final = """\
life=FOLDER/life go=FOLDER/go opened=FOLDER/opened ended=FOLDER/ended
read -r self _ < /proc/self/stat
echo "$self" > FOLDER/pid
if [ "$1" = once ]; then
  if [ ! -f $opened ]; then
    read -r _ < $go && : > $opened || exit 1
  fi
  . $life
fi
over=
while [ -z "$over" ]; do
  trap 'exit 0' TERM
  read -r _ < $go || continue
  trap 'over=1' TERM
  (. $life)
  echo "$?" > $ended
done
"""
_STOP: Final = """\
read -r gate < FOLDER/pid
for each in /proc/[0-9]*; do
  while read -r key value; do
    if [ "$key" = PPid: ]; then
      [ "$value" != "$gate" ] || kill -TERM "${each#/proc/}"
      break
    fi
  done 2>/dev/null < "$each/status"
done
"""
MAKE: Final = (
    "sh", "-c",
    f"mkfifo -m 666 {FOLDER}/go; echo '127.0.0.1 localhost' > {FOLDER}/hosts; test -p {FOLDER}/go",
)  # fmt: skip
"""Before any of them runs."""
HOSTS: Final = "hosts"
"""In the folder: the names of all nodes, which the agent keeps (``{peer_name}``)."""


def command(*, keeps: bool, folder: str = FOLDER) -> list[str]:
    """What the container runs."""
    return ["/bin/sh", "-c", _SCRIPT.replace("FOLDER", folder), GATE, KEEPS if keeps else ONCE]


def stop(folder: str = FOLDER) -> list[str]:
    """What is run in the container before it is told to end: the system is told so itself. By its words it is no part of the system."""
    return ["/bin/sh", "-c", _STOP.replace("FOLDER", folder), GATE, "stop"]


class Account(msgspec.Struct, frozen=True):
    """A user, as the image of the system knows it."""

    uid: int
    gid: int
    groups: str
    """Numbers with commas between them, that of ``gid`` among them."""
    home: str


def life(words: Sequence[str], environment: Mapping[str, str], account: Account | None = None) -> str:
    """What the gate carries out: one life of the system. ``account``: who it runs as, in place of the gate's own user."""
    if account is not None:
        environment = {"HOME": account.home, **environment}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    command = shlex.join(words)
    if account is None:
        return "\n".join([*lines, f"exec {command}", ""])
    ways = {  # each becomes the command: the process stays the same. BusyBox has a setpriv that cannot do this, and no image has all three.
        "gosu": f"gosu {account.uid}:{account.gid}",
        "su-exec": f"su-exec {account.uid}:{account.gid}",
        "setpriv": f"setpriv --reuid={account.uid} --regid={account.gid} --groups={account.groups} --",
    }
    lines += [f"if command -v {name} >/dev/null; then exec {way} {command}; fi" for name, way in ways.items()]
    return "\n".join(
        [*lines, f"echo 'nines: no {', '.join(ways)} in this image: nobody can become user {account.uid}' >&2", "exit 127", ""]
    )
