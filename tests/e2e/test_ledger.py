"""The ledger of mistakes: every switch has an experiment, each is short, and the quick ones catch their mistake here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaos import api
from chaos.history.folder import RunFolder
from chaos.results.data import OK, VIOLATED
from tests.support.echo_deployment import need_toxiproxy
from tests.support.paths import ROOT

FILES = sorted((ROOT / "experiments" / "wrong").glob("*.yaml"))
LONGEST_S = 30.0
TRIES = 3
QUICK = (
    "baseline=1s", "traffic.operations.write=10/s", "traffic.operations.read=10/s", "data.sessions=4", "data.rate=100/s", "data.settle=3s",
)  # fmt: skip


def test_every_mistake_has_an_experiment() -> None:
    """By the target's own list of them."""
    sys.path.insert(0, str(ROOT / "targets" / "replicated_kv"))
    from replicated_kv.wrong import WRONG

    assert sorted(WRONG) == [file.stem for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_switches_on_its_own_mistake_and_expects_to_fail(file: Path) -> None:
    """And lasts no longer than half a minute; without the mistake it is expected to pass."""
    ordered = api.order(file)
    assert ordered.plan.settings["wrong"] == ordered.experiment.name == file.stem
    assert ordered.experiment.expect_verdict == "fail"
    assert ordered.plan.duration_s <= LONGEST_S
    assert ordered.experiment.objectives
    right = api.order(file, overrides=("cluster.settings.wrong=none", "expect_verdict=pass"))
    assert right.plan.windows == ordered.plan.windows


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("replay-twice", ("faults.kill-one.every=2s", "faults.kill-one.times=1", "settle=2s")),
        ("stale-lease", ("faults.cut-leader.every=3500ms", "settle=2s")),
    ],
)
def test_the_quick_ones_catch_their_mistake(tmp_path: Path, name: str, faults: tuple[str, ...]) -> None:
    """A replay shows in one fault; a stale read in most cuts, so there are three. On a busy machine hardly anything is written or read
    meanwhile, so that nothing shows: then once more."""
    need_toxiproxy()
    ordered = api.order(ROOT / "experiments" / "wrong" / f"{name}.yaml", runtime="local", overrides=(*QUICK, *faults))
    found = []
    for number in range(TRIES):
        report = api.perform(ordered, RunFolder(tmp_path / f"run{number}"), history=tmp_path / "h")
        assert report.data is not None
        found.append(report.data)
        verdicts = {check.verdict for check in report.data.checks}
        if VIOLATED in verdicts:
            assert verdicts <= {OK, VIOLATED}
            return
    pytest.fail(f"nothing was found: {found!r}")
