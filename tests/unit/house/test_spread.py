"""How the tests are spread over the workers."""

from __future__ import annotations

import os

import pytest

from tests.support import spread
from tests.support.paths import ROOT

TIMED, UNTIMED, PURE = "tests/e2e/test_watch.py::a", "tests/e2e/test_soak.py::a", "tests/unit/cli/test_cli.py::a"
SCOPES = [spread.ALONE, "tests/unit/cli/test_cli.py", "tests/e2e/test_soak.py"]


def test_files_that_are_named_exist() -> None:
    """A file that was renamed would run alone, or not alone, unseen."""
    named = [start.removesuffix("::") for start in (*spread.WAITS, spread.ASKS_SCHEDULER)]
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(set(named)) == len(named)


def test_only_real_systems_whose_time_is_judged_run_alone() -> None:
    assert [spread.is_alone(each) for each in (TIMED, UNTIMED, PURE)] == [True, False, False]
    assert sorted((PURE, UNTIMED, TIMED), key=spread.rank) == [TIMED, UNTIMED, PURE]


@pytest.mark.parametrize(
    ("worker", "order"),
    [("gw0", [0, 1, 2]), ("gw1", [2, 1, 0]), ("gw2", [1, 2, 0])],
)
def test_each_worker_has_its_own_first_and_takes_what_is_left(worker: str, order: list[int]) -> None:
    left, taken = list(SCOPES), []
    while left:
        taken.append(spread.choice(left, worker))
        left.remove(taken[-1])
    assert taken == [SCOPES[number] for number in order]


@pytest.mark.parametrize(("worker", "classes"), [("gw0", []), ("gw1", [os.SCHED_IDLE]), ("gw2", [os.SCHED_IDLE])])
def test_all_but_the_first_ask_for_the_idle_class(worker: str, classes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda _pid, wanted, _param: asked.append(wanted))
    spread.step_back(worker)
    assert asked == classes
