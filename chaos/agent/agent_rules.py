"""The node agent's packet rules: one table of ours in the kernel, changed by transactions. Standard library only."""

from __future__ import annotations

import subprocess
import time
from typing import Final

TABLE: Final = "inet nines"
WITHIN_S: Final = 5.0
_MARK: Final = "describe ct mark"
"""A command that asks the kernel nothing and says something: what comes before it is done when it speaks."""


class Refused(Exception):
    """A command that could not be carried out; the text goes back as ``error``."""


class Nft:
    """One ``nft -i`` kept open: a rule is in place after 0.4 ms, where starting ``nft`` takes 5 ms."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def apply(self, commands: list[str]) -> tuple[str, int]:
        """Carry out the commands as one transaction.

        Returns our table as the kernel now has it, which is also the proof of order, and when the transaction was done.
        """
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = subprocess.Popen(
                ["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
            )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"add table {TABLE}\n{'; '.join(commands) or f'add table {TABLE}'}\n{_MARK}\nlist table {TABLE}\n")
        process.stdin.flush()
        said: list[str] = []
        at_ns = 0
        while True:
            line = process.stdout.readline()
            at_ns = at_ns or time.monotonic_ns()
            if not line:
                raise Refused(f"nft ended: {''.join(said)[-400:]}")
            said.append(line)
            if line == "}\n":
                break
        start = next(index for index, line in enumerate(said) if line.startswith("table "))
        errors = [line.strip() for line in said[:start] if "Error" in line]  # what else it says repeats the command, with carets below
        if errors:
            raise Refused("; ".join(errors)[-800:])
        return "".join(said[start:]), at_ns

    @property
    def pid(self) -> int | None:
        """The open ``nft``, which no signal may reach."""
        return self._process.pid if self._process else None


def nft(*words: str, text: str = "") -> str:
    """One call of the program, for what is asked seldom; ``OSError`` with its own words if it fails."""
    done = subprocess.run(["nft", *words], input=text, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if done.returncode:
        raise OSError(f"nft {' '.join(words)}: {done.stderr.strip()[-400:]}")
    return done.stdout


def removed(table: str) -> list[str]:
    """That table is gone, not merely empty, whoever made it: this agent, or one that died before it. Why it is not."""
    try:
        if table in nft("list", "tables"):
            nft("delete", "table", *table.split())
        left = nft("list", "tables")
    except (OSError, subprocess.SubprocessError) as error:
        return [f"packet rules: {error}"]
    return [f"packet rules: the table '{table}' is still there"] if table in left else []
