"""Debian's package tools on this machine: installing what is missing, and where this machine gets its packages from."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.core.system import is_root

Note = Callable[[str], None]

INSTALL_TIMEOUT_S: Final = 600.0
LOCK_S: Final = 300
"""How long to wait for another apt-get or dpkg to end."""
_ASK_TIMEOUT_S: Final = 30.0
_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_FORBID: Final = "#!/bin/sh\nexit 101\n"
_KEPT_OPTIONS: Final = (
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Retries",
)


def may_install() -> bool:
    """Whether this is a Debian-like machine on which we are root."""
    return is_root() and shutil.which("apt-get") is not None


def install(packages: Sequence[str], note: Note) -> None:
    """Install packages without starting any service of theirs. ``EnvironmentUnusable`` if it may not or does not work."""
    wanted = " ".join(packages)
    how = f"sudo apt-get install --no-install-recommends {wanted}"
    if not may_install():
        raise EnvironmentUnusable(f"missing on this machine: {wanted}", how=how)
    note(f"installing {wanted}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "-o", f"DPkg::Lock::Timeout={LOCK_S}", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            try:
                subprocess.run(
                    command,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=INSTALL_TIMEOUT_S,
                    check=True,
                    stdin=subprocess.DEVNULL,
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise EnvironmentUnusable(f"{' '.join(command)} failed: {last_words(error)}", how=how) from error


@contextmanager
def _no_services() -> Iterator[None]:
    """invoke-rc.d asks this file whether it may start a service; 101 forbids it. One that is there already is the owner's and stays."""
    try:
        with _POLICY.open("x", encoding="ascii") as policy:
            policy.write(_FORBID)
    except FileExistsError:
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()


# --- where packages come from ------------------------------------------------------------------------------------------


def apt_options() -> list[str]:
    """The proxies and the tolerance for old indexes that this machine's apt is set to, as lines of an ``apt.conf``."""
    said = _ask(["apt-config", "dump"])
    return [line for line in said.splitlines() if line.startswith(_KEPT_OPTIONS)]


def mirrors(suite: str) -> list[str]:
    """This machine's own Debian mirrors as ``deb`` lines for a suite; empty on another distribution, whose mirrors have no Debian."""
    system, codename = _system()
    if system != "debian" or not codename:
        return []
    said = _ask(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    return deb_lines(said, codename, suite)


def deb_lines(said: str, codename: str, suite: str) -> list[str]:
    """``URI release component`` lines of one release as ``deb`` lines of another one; third parties' repositories are left out."""
    found: dict[str, None] = {}
    for line in said.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[2] == "main" and fields[1] in (codename, f"{codename}-updates", f"{codename}-security"):
            found[f"deb {fields[0]} {fields[1].replace(codename, suite, 1)} main"] = None
    # A machine without the main archive of Debian has only somebody's additions to it.
    return list(found) if any(line.split()[2] == suite for line in found) else []


def _system() -> tuple[str, str]:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return "", ""
    pairs = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return pairs.get("ID", "").strip('"'), pairs.get("VERSION_CODENAME", "").strip('"')


def _ask(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""  # no apt here, or not a whole one: then its settings do not matter either
