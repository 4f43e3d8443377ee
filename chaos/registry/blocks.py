"""Blocks of loopback addresses, each held by one run: a folder with a file for each that is taken, which names its owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chaos.core.errors import EnvironmentUnusable


def owners(folder: Path) -> dict[int, str]:
    """Taken block -> run."""
    found = {}
    for path in folder.glob("*"):
        if path.name.isdigit():
            try:
                found[int(path.name)] = path.read_text(encoding="utf-8")
            except FileNotFoundError:
                continue  # given back while we listed
    return found


def take(folder: Path, run: str, blocks: Sequence[int], unusable: Callable[[int], str]) -> int:
    """The first of these that nobody holds and of which ``unusable`` says nothing; ``EnvironmentUnusable`` if there is none."""
    reasons: list[str] = []
    for block in blocks:
        path = folder / str(block)
        if not _own(path, run):
            continue
        reason = unusable(block)
        if not reason:
            return block
        reasons.append(reason)
        path.unlink()
    raise EnvironmentUnusable(
        f"{reasons[-1] if reasons else 'no block of loopback addresses is free'} ({len(blocks)} blocks of loopback addresses tried)",
        how="see who listens with 'ss -ltnup', and crashed runs with 'nines leftovers'",
    )


def give_back(folder: Path, run: str) -> None:
    """All that this run holds, or was about to take."""
    for block, owner in owners(folder).items():
        if owner == run:
            (folder / str(block)).unlink(missing_ok=True)
    _draft(folder, run).unlink(missing_ok=True)


def _own(path: Path, run: str) -> bool:
    """Create the file with its owner's name in it, all at once; false if it exists. A block must never be seen without its owner."""
    draft = _draft(path.parent, run)
    draft.write_text(run, encoding="utf-8")
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _draft(blocks: Path, run: str) -> Path:
    return blocks / f".{run}.draft"
