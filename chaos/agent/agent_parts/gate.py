"""The gate in front of a system's command in a pod of ours: what it is to start, and when. Both are in a folder that all of the pod share.

life     what the gate carries out: a shell's words, written here before it is opened for the first time
go       a pipe with a name: a line in it opens the gate once
ended    how the last life ended, written by the gate
hosts    the names that nodes keep, and where each of them is now: what the system's container has as /etc/hosts
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

FOLDER: Final = Path("/nines/gate")
GATE: Final = "nines-gate"
"""What a gate calls itself (``chaos/kube/gate.py``)."""
WITHIN_S: Final = 15.0
"""A gate that has seen the end of a life waits for the next one a moment later; kubelet starts one whose container died."""
LOOK_EVERY_S: Final = 0.002
Message = dict[str, Any]


class Agent(Protocol):
    """What of the agent is needed here."""

    def later(self, number: object, work: Callable[[], Message]) -> None:
        """In a thread."""
        ...


def do_account(_agent: object, command: Message) -> Message:
    """Who a user is in the image of the system: by its own files, which are seen through the gate's root."""
    return {"result": account(_root_of_gate(), str(command["user"]))}


def account(root: Path, user: str) -> Message:
    """Its numbers, by name or by number, and its home (passwd(5), group(5)). ``ValueError`` if that image does not know it."""
    for line in _lines(root / "etc/passwd"):
        name, _, uid, gid, _, home = line.split(":")[:6]
        if user in (name, uid):
            break
    else:
        raise ValueError(f"the image of the system has no user '{user}' in its /etc/passwd")
    groups = [int(each.split(":")[2]) for each in _lines(root / "etc/group") if name in each.split(":")[3].split(",")]
    return {"uid": int(uid), "gid": int(gid), "groups": ",".join(map(str, sorted({int(gid), *groups}))), "home": home}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.count(":") >= 3]
    except FileNotFoundError:
        return []


def _root_of_gate() -> Path:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and GATE.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                return entry / "root"
    raise ValueError("no gate stands in this pod")


def do_prepare(_agent: object, command: Message) -> Message:
    """Write ``life``, and ``files`` (path -> text); with ``empty``, after all that stands in these folders is deleted. ``owner``: the uid
    and gid to which ``folders`` and all that is in them belong then."""
    for folder in command.get("empty", ()):
        for path in Path(folder).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for folder in map(Path, command.get("folders", ())):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.chmod(0o777)  # a new volume may be root's alone; whoever the image runs as is to write there, as in an emptyDir
    for path, text in command["files"].items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    if command.get("owner"):
        for folder in map(Path, command["folders"]):
            for path in (folder, *folder.rglob("*")):
                os.lchown(path, *command["owner"])
    whole = FOLDER / "life.whole"
    whole.write_text(command["life"], encoding="utf-8")
    whole.chmod(0o755)
    whole.rename(FOLDER / "life")  # a gate reads all of it or nothing
    return {"result": {}}


def do_open(agent: Agent, command: Message) -> None:
    """Let the system's command begin; answers once the gate has been told."""
    agent.later(command["id"], _open)


def _open() -> Message:
    with contextlib.suppress(FileNotFoundError):
        (FOLDER / "ended").unlink()
    until_s = time.monotonic() + WITHIN_S
    while True:
        try:
            pipe = os.open(FOLDER / "go", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > until_s:
                raise ValueError(f"no gate waits: the container of the system does not run, or {FOLDER} is not its folder") from None
            time.sleep(LOOK_EVERY_S)
    try:
        os.write(pipe, b"go\n")
    finally:
        os.close(pipe)
    return {"result": {}}


def do_ended(_agent: object, _command: Message) -> Message:
    """The exit status of the life that ended last; empty while one goes on, and before the first."""
    try:
        return {"result": {"status": (FOLDER / "ended").read_text(encoding="utf-8").strip()}}
    except FileNotFoundError:
        return {"result": {"status": ""}}


def do_hosts(_agent: object, command: Message) -> Message:
    """These are the names from now on. The same file all the time, since it is mounted elsewhere; whole in one write."""
    data = command["text"].encode()
    descriptor = os.open(FOLDER / "hosts", os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
    return {"result": {}}


def heal(_agent: object) -> list[str]:
    """Nothing of it outlives the pod."""
    return []
