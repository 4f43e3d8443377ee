"""runc for an engine whose root lacks capabilities: what cannot be given is taken out of what containers ask for.

    python3 -I -S runc.py /usr/sbin/runc ARGUMENTS...

Standard library only. A privileged container then has all that there are, as the word says.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
    "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND",
    "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
)  # fmt: skip
"""In the order of their numbers (capability.h)."""


def there() -> set[str]:
    """The names of those that this process may ever have."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    bound = int(next(line.split()[1] for line in lines if line.startswith("CapBnd:")), 16)
    return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if bound >> number & 1}


def limited(process: dict[str, dict[str, list[str]]], has: set[str]) -> None:
    """Take out of a process's sets of capabilities (OCI runtime specification) what is not there."""
    sets = process.get("capabilities") or {}
    for name, wanted in sets.items():
        sets[name] = [each for each in wanted if each in has]


def main(runc: str, arguments: Sequence[str]) -> None:
    """Change the file that says what is to be started, then be runc."""
    for option, inside in (("--bundle", "config.json"), ("--process", "")):
        if option in arguments:
            path = Path(arguments[arguments.index(option) + 1], inside)
            said = json.loads(path.read_text(encoding="utf-8"))
            limited(said.get("process", {}) if inside else said, there())
            path.write_text(json.dumps(said), encoding="utf-8")
    os.execv(runc, ["runc", *arguments])  # noqa: S606 - this is its place


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
