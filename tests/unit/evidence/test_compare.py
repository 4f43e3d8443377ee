"""Two sets of runs held against each other: what is called worse, no worse, or open; and whose runs a word means."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.evidence.compare import compare, overall
from chaos.evidence.comparisons import held_against
from chaos.evidence.rows import TRUSTED
from chaos.evidence.sides import side
from chaos.evidence.store import Store
from chaos.evidence.trend import trends
from tests.support.kept import kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty history."""
    with Store(tmp_path / "history.db", create=True) as found:
        yield found


def fill(store: Store, version: str, runs: int, factor: float = 1.0, first: int = 0, seed: int = 1, spread: float = 0.0, faults: int = 5,
         configuration: str = "c0ffee") -> None:  # fmt: skip
    """Runs of a version, outages of a gamma law with a cv of a quarter; ``spread``: by how much runs differ among themselves."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(runs):
        scale = factor * math.exp(rng.normal(0, spread))
        outages = np.round(scale * rng.gamma(16, 0.05, faults) / 0.02) * 0.02
        rows.append(kept(first + number, outages.tolist(), version=version, configuration=configuration))
    store.record_all(rows)


def verdicts(store: Store, old: str, new: str, measures: Sequence[str] = ("mttr",)) -> dict[str, str]:
    """By measure."""
    (found,) = held_against(store, side(store, old), side(store, new), margin=1.3, measures=measures)
    return {row.measure: row.verdict for row in found.rows}


def test_a_regression_is_found_and_what_is_alike_is_shown(store: Store) -> None:
    """1.5 times as long: worse. As before: no worse than 1.3 times. One fault: it cannot be told, and about how many more would tell."""
    fill(store, "old", 20)
    fill(store, "slow", 2, 1.5, first=100, seed=2)
    fill(store, "same", 4, first=200, seed=3)
    fill(store, "one", 1, 1.1, first=300, seed=4, faults=1)
    assert verdicts(store, "old", "slow") == {"mttr": "worse"}
    assert verdicts(store, "old", "same") == {"mttr": "no worse"}
    (found,) = held_against(store, side(store, "old"), side(store, "one"), margin=1.3, measures=("mttr",))
    (row,) = found.rows
    assert row.verdict == "cannot tell"
    assert row.more is not None
    assert 3 <= row.more <= 20
    assert (row.old.n, row.new.n, row.unit) == (100, 1, "fault")


def test_all_three_figures_and_the_worst_of_them(store: Store) -> None:
    """MTTR and availability are worse together; latency stays."""
    fill(store, "old", 20)
    fill(store, "slow", 3, 2.0, first=100, seed=2)
    assert verdicts(store, "old", "slow", ("mttr", "availability", "latency_p99")) == {
        "mttr": "worse", "availability": "worse", "latency_p99": "no worse",
    }  # fmt: skip
    (found,) = held_against(store, side(store, "old"), side(store, "slow"), margin=1.3)
    assert found.verdict == overall(found.rows) == "worse"
    assert (found.old_runs, found.new_runs, found.old_faults, found.new_faults) == (20, 3, 100, 15)


def test_runs_that_differ_are_not_pooled(store: Store) -> None:
    """A machine whose runs differ by a third: one new run is one piece of evidence, and no alarm, though its five faults would be."""
    fill(store, "old", 12, spread=0.35, seed=11)
    fill(store, "new", 1, 1.35, first=100, seed=12)
    (found,) = held_against(store, side(store, "old"), side(store, "new"), margin=1.3, measures=("mttr",))
    (row,) = found.rows
    assert row.unit == "run"
    assert (row.old.n, row.new.n) == (12, 1)
    assert row.verdict == "cannot tell"


def test_classes_that_one_side_lacks_cannot_be_told(store: Store) -> None:
    """Nothing is made up for them."""
    store.record_all([kept(1, version="old"), kept(2, version="new", fault_class="pause/leader")])
    (found,) = held_against(store, side(store, "old"), side(store, "new"), margin=1.3, measures=("mttr",))
    assert {row.fault_class: row.reason for row in found.rows} == {
        "pause/leader": "no outage was noticed on the old side", "kill/leader": "no outage was noticed on the new side",
    }  # fmt: skip
    assert found.verdict == "cannot tell"


def test_a_system_that_loses_nothing(store: Store) -> None:
    """12 faults that nobody noticed show no worse than 1.3 times (1.3^-12 < 5 %); 5 do not."""
    store.record_all([kept(1, [0.0] * 12, version="old"), kept(2, [0.0] * 5, version="few"), kept(3, [0.0] * 12, version="new")])
    assert verdicts(store, "old", "new", ("availability",)) == {"availability": "no worse"}
    (found,) = held_against(store, side(store, "old"), side(store, "few"), margin=1.3, measures=("availability",))
    assert (found.rows[0].verdict, found.rows[0].more) == ("cannot tell", 7)


def test_false_alarms() -> None:
    """Nothing changed: at most 5 % of gates call it worse, and what chance adds over 40 of them (200: ``bench.regressions``)."""
    rng = np.random.default_rng(13)
    alarms, times = 0, 40
    for _ in range(times):
        outages = np.round(rng.gamma(16, 0.05, 40) / 0.02) * 0.02
        rows = [kept(number, outages[5 * number : 5 * number + 5].tolist()) for number in range(8)]
        old, new = _trials(rows[:6]), _trials(rows[6:])
        alarms += overall(compare(old, new, measures=("mttr", "availability"))) == "worse"
    assert alarms <= times * 0.05 + 2 * math.sqrt(times * 0.05 * 0.95)


def _trials(rows):
    """Columns, without a file."""
    from chaos.evidence.rows import Trials

    flat = [(place, trial) for place, (_, trials) in enumerate(rows) for trial in trials]
    return Trials(
        [place for place, _ in flat], ["v"] * len(flat), [trial.fault_class for _, trial in flat], [trial.outage_s for _, trial in flat],
        [0] * len(flat), [trial.cycle_s for _, trial in flat], [trial.down_s for _, trial in flat],
        [trial.latency_p50_s for _, trial in flat], [trial.latency_p99_s for _, trial in flat],
    )  # fmt: skip


def test_trends(store: Store) -> None:
    """All runs of a class together, and the newest version against those before."""
    fill(store, "v1", 10)
    fill(store, "v2", 3, 1.6, first=100, seed=3)
    (found,) = trends(store.trials(), 1.3)
    assert (found.fault_class, found.faults, found.runs, found.versions, found.newest, found.added) == ("kill/leader", 65, 13, 2, "v2", 15)
    assert found.compared is not None
    assert found.compared.verdict == "worse"
    assert [point.version for point in found.points] == ["v1"] * 10 + ["v2"] * 3


# --- what a word means -------------------------------------------------------------------------------------------------


def test_words(store: Store) -> None:
    """A version, its begin, the one before, all others, a run by the begin of its name, and what is none."""
    store.record_all([kept(1, version="aaa111"), kept(2, version="bbb222"), kept(31, version="bbb333"), kept(40, version="ccc444")])

    def runs(word: str) -> list[str]:
        found = side(store, word)
        return sorted(run.run for run in store.runs(found.where, found.values))

    assert runs("aaa111") == runs("aaa") == ["run-1"]
    assert runs("previous") == ["run-31"]
    assert runs("all") == ["run-1", "run-2", "run-31"]
    assert runs("run-3") == ["run-31"]
    with pytest.raises(BadInput, match="2 versions: bbb333, bbb222"):
        side(store, "bbb")
    with pytest.raises(BadInput, match="several runs"):
        side(store, "run-")
    with pytest.raises(BadInput, match="names no run"):
        side(store, "nothing-like-it")
    with pytest.raises(BadInput, match="names no run"):
        side(store, "--output=/tmp/x")


def test_a_name_that_git_knows(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``main`` is its newest ancestor that was run."""
    repository = tmp_path / "repository"
    repository.mkdir()
    commits = []
    for words in (["init", "-q", "-b", "main"], *[["commit", "-q", "--allow-empty", "-m", str(number)] for number in range(3)]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=repository, check=True)
        if words[0] == "commit":
            answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
            commits.append(answer.stdout.strip())
    store.record_all([kept(1, version=commits[0]), kept(2, version=commits[1][:10])])
    monkeypatch.chdir(repository)
    assert side(store, "main").label == commits[1][:10]
    assert side(store, "HEAD~2").label == commits[0]


def test_runs_that_prove_nothing_are_left_out(store: Store) -> None:
    """Aborted and invalid ones."""
    store.record_all([kept(1, version="old"), kept(2, version="new", state="aborted"), kept(3, [9.0], version="old", state="invalid")])
    with pytest.raises(BadInput, match="no run of 'new' counts"):
        held_against(store, side(store, "old"), side(store, "new"), margin=1.3)
    assert "invalid" not in TRUSTED
    assert [run.run for run in side(store, "old").configurations(store)["c0ffee"]] == ["run-1"]


def test_other_configurations_are_compared_only_by_name(store: Store) -> None:
    """Two runs of two configurations: with a caution; two versions of several: refused."""
    store.record_all([kept(1, version="a"), kept(2, version="b", configuration="beef")])
    (found,) = held_against(store, side(store, "run-1"), side(store, "run-2"), margin=1.3)
    assert "two configurations" in found.cautions[0]
    store.record_all([kept(3, version="b", configuration="f00d")])
    with pytest.raises(BadInput, match="no configuration in common"):
        held_against(store, side(store, "a"), side(store, "b"), margin=1.3)
