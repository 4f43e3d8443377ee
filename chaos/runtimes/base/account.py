"""Another user for processes on this machine: some systems (PostgreSQL among them) refuse to run as root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from chaos.core.errors import EnvironmentUnusable

OTHERS_ENTER = 0o001


class Account(msgspec.Struct, frozen=True):
    """A user of this machine."""

    name: str
    number: int
    group: int

    def options(self) -> dict[str, Any]:
        """For ``subprocess.Popen``: the user, and all groups of the user."""
        return {"user": self.number, "group": self.group, "extra_groups": os.getgrouplist(self.name, self.group)}

    def owns(self, folder: Path) -> None:
        """Give it the folder and all in it; ``EnvironmentUnusable`` for a folder that this user cannot reach."""
        closed = next((each for each in reversed(folder.absolute().parents) if not each.stat().st_mode & OTHERS_ENTER), None)
        if closed is not None:
            raise EnvironmentUnusable(
                f"the user '{self.name}' cannot reach the node's folder {folder}: {closed} is closed to others",
                how="run Nines in a folder that others may enter, or name one with --folder",
            )
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.number, self.group, follow_symlinks=False)


def account_of(user: str) -> Account | None:
    """None for no other user than the one who runs Nines. ``EnvironmentUnusable`` if there is no such user, or Nines may not become it."""
    import pwd  # of Unix alone

    if not user:
        return None
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise EnvironmentUnusable(f"this machine has no user '{user}'", how=f"adduser --system {user}, or --runtime docker") from None
    if found.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise EnvironmentUnusable(
            f"the target's processes run as '{user}', and only root may start them",
            how=f"run Nines as root or as {user}, or --runtime docker",
        )
    return Account(found.pw_name, found.pw_uid, found.pw_gid)
