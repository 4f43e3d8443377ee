"""Our checkers of linearizability against Porcupine's: on a thousand random histories, and on journals of real runs.

What Porcupine says of the random ones is stored (``python -m tests.oracles.porcupine``), so that it is held against us without Go too;
where Go is, Porcupine is built and asked anew.
"""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.data.check import Budget
from chaos.data.checks.linearizable import BY_WORKLOAD
from chaos.data.operations import DataHistory, KeyHistory
from chaos.history import journal
from tests.support.needs import need
from tests.support.porcupine import OPERATIONS, SEEDS, build, judged, random_histories, stored, why_not

JOURNALS = Path(__file__).resolve().parents[2] / "golden" / "journals"
"""Of replicated_kv with a killed and a cut-off leader, some keys of each: as it should be, and with ``wrong: ack-before-quorum``."""
BUDGET_S = 60.0


def ours(workload: str, key: KeyHistory) -> bool:
    """What we say."""
    return next(iter(BY_WORKLOAD[workload](key, Budget(BUDGET_S))), None) is None


def recorded(tmp_path: Path, name: str) -> DataHistory:
    """What a real run wrote down."""
    path = tmp_path / name
    path.write_bytes(gzip.decompress((JOURNALS / f"{name}.jsonl.gz").read_bytes()))
    found = journal.read(path)
    assert not found.damage
    return DataHistory("register", found)


def test_a_thousand_random_histories_are_judged_as_porcupine_judges_them() -> None:
    """Right and wrong ones of every workload."""
    told = stored()
    assert {workload: len(verdicts) for workload, verdicts in told.items()} == dict.fromkeys(OPERATIONS, SEEDS)
    assert all(20 < verdicts.count("n") < SEEDS - 20 for verdicts in told.values())
    for name, workload, key in random_histories():
        assert ours(workload, key) is (told[workload][int(name.split(" ")[1])] == "y"), name


@pytest.mark.parametrize(("name", "wrong"), [("right", set()), ("wrong", {"d11", "o319"})])
def test_recorded_histories_are_judged_as_they_were(tmp_path: Path, name: str, wrong: set[str]) -> None:
    """The keys that are not linearizable, by name."""
    history = recorded(tmp_path, name)
    assert len(history.operations) > 300
    assert {key for key, each in history.keys.items() if not ours("register", each)} == wrong


@pytest.fixture(scope="module")
def porcupine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, where Go is and can get the module."""
    why = why_not()
    need("Porcupine", not why, f"it cannot be built: {why}")
    try:
        return build(tmp_path_factory.mktemp("porcupine"))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        need("Porcupine", False, f"it cannot be built: {said.decode(errors='replace').strip()[-200:] or error}")
        raise  # not reached: need skips, or fails where parts may not be missing


def test_porcupine_says_today_what_is_stored(porcupine: Path) -> None:
    """Else the stored verdicts would be of other histories."""
    found = judged(porcupine, ((name, workload, key.operations) for name, workload, key in random_histories()))
    verdicts: dict[str, str] = {}
    for each in found:
        workload = each.name.split(" ")[0]
        verdicts[workload] = verdicts.get(workload, "") + ("y" if each.ok else "n")
    assert verdicts == stored()


def test_porcupine_judges_the_recorded_histories_as_we_do(porcupine: Path, tmp_path: Path) -> None:
    """Key by key."""

    def keys() -> Iterator[tuple[str, KeyHistory]]:
        for name in ("right", "wrong"):
            yield from ((f"{name} {key}", each) for key, each in recorded(tmp_path, name).keys.items())

    told = {name: ours("register", key) for name, key in keys()}
    # Writes that were never answered and never read may be left out, and are: Porcupine takes exponential time for them.
    read = [(name, "register", [op for op in key.operations if op.ok or _is_read(op.value, key)]) for name, key in keys()]
    assert {each.name: each.ok for each in judged(porcupine, read)} == told


def _is_read(value: str | None, key: KeyHistory) -> bool:
    return any(read.found == value for read in key.reads)
