"""Which runs a word means: one run, all runs of a version of the system, or what was known before.

latest, or the begin of a run's name, or a run folder    that run
a version, or its begin                                  all runs of it
all                                                      every run of another version than the newest
previous                                                 the runs of the version before the newest
a name that git knows (main, HEAD~3, v1.2)               the newest ancestor of it that is the version of some run
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chaos.core.errors import BadInput
from chaos.evidence.names import LATEST, run_folder
from chaos.evidence.rows import TRUSTED, KeptRun, Trials
from chaos.evidence.store import Store

ALL: Final = "all"
PREVIOUS: Final = "previous"
ANCESTORS: Final = 2000
LEAST_COMMIT: Final = 7
"""So many digits make the short name of a commit."""
_GIT_S: Final = 5.0


class Side(NamedTuple):
    """A set of runs, as a condition on the history."""

    label: str
    where: str
    values: tuple[object, ...]

    def configurations(self, store: Store) -> dict[str, list[KeptRun]]:
        """Its runs whose figures count, by configuration, the newest first."""
        found: dict[str, list[KeptRun]] = {}
        for run in store.runs(f"({self.where}) AND {counted()}", (*self.values, *TRUSTED)):
            found.setdefault(run.configuration, []).append(run)
        return found

    def trials(self, store: Store, configuration: str) -> Trials:
        """The faults of its runs of that configuration whose figures count."""
        where = f"({self.where}) AND configuration = ? AND {counted()}"
        return store.trials(where, (*self.values, configuration, *TRUSTED))


def counted() -> str:
    """The condition that a run's figures count; its values are ``TRUSTED``."""
    return f"state IN ({', '.join('?' * len(TRUSTED))})"


def of_version(version: str, but: Sequence[str] = ()) -> Side:
    """All runs of a version, without some."""
    return _without(Side(version or "an unnamed version", "version = ?", (version,)), but)


def others(version: str, but: Sequence[str] = ()) -> Side:
    """All runs of other versions."""
    return _without(Side("all before", "version <> ?", (version,)), but)


def side(store: Store, word: str, *, newest: str | None = None, but: Sequence[str] = ()) -> Side:
    """What that word means. ``newest``: the version that is new here, for ``all`` and ``previous``; ``but``: runs that are left out.

    ``BadInput`` where it means nothing, or several things.
    """
    versions = store.versions()
    if word in (ALL, PREVIOUS):
        new = newest if newest is not None else versions[0] if versions else ""
        if word == ALL:
            return others(new, but)
        before = next((version for version in versions if version != new), None)
        if before is None:
            raise BadInput(f"no run of another version than '{new}' is in {store.path}", right="run one, or merge a history")
        return of_version(before, but)
    if word in versions:
        return of_version(word, but)
    path = Path(word)
    if word != LATEST and not path.is_dir():
        begun = [version for version in versions if version.startswith(word)]
        if len(begun) == 1:
            return of_version(begun[0], but)
        if len(begun) > 1:
            raise BadInput(f"'{word}' may be any of {len(begun)} versions: {', '.join(begun[:5])}", right="more of it")
    run = _run(store, word)
    if run:
        return _without(Side(run, "run = ?", (run,)), but)
    ancestor = _ancestor(word, versions)
    if ancestor is not None:
        return of_version(ancestor, but)
    raise BadInput(
        f"'{word}' names no run, no version of a system and nothing in git that was ever run",
        right="latest, previous, all, a version that 'nines runs' shows, or the begin of a run's name",
    )


def _without(found: Side, but: Sequence[str]) -> Side:
    if not but:
        return found
    return Side(found.label, f"{found.where} AND run NOT IN ({', '.join('?' * len(but))})", (*found.values, *but))


def _run(store: Store, word: str) -> str:
    """The name of the run that is meant; empty where none is."""
    if word != LATEST and not Path(word).is_dir():
        begun = store.runs("substr(run, 1, ?) = ?", (len(word), word), newest=2)
        if len(begun) == 1 or (begun and begun[0].run == word):
            return begun[0].run
        if len(begun) > 1:
            raise BadInput(f"'{word}' may be any of several runs: {begun[0].run}, {begun[1].run}", right="more letters of its name")
        return ""
    folder = run_folder(word)
    known = store.runs("folder = ?", (str(folder.absolute()),), newest=1)
    if not known:
        raise BadInput(f"the run in {folder} is not in {store.path}", right=f"nines runs --add {folder}")
    return known[0].run


def _ancestor(word: str, versions: Sequence[str]) -> str | None:
    """The version of the newest commit, from that one back, that was run; None where git does not know the word, or is not here."""
    if word.startswith("-"):
        return None
    ask = ["git", "rev-list", f"--max-count={ANCESTORS}", word, "--"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    short = {version: version.lower() for version in versions if len(version) >= LEAST_COMMIT}
    for commit in answer.stdout.split():
        for version, begin in short.items():
            if commit.startswith(begin):
                return version
    return None
