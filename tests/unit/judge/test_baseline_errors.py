"""A system with errors of its own: what the baseline allows, and an outage rule that such errors alone do not meet."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.experiment.document import parse_experiment
from chaos.judge.judge import judge
from chaos.plan.build import BY_CHANCE, told_apart
from tests.support import synthetic
from tests.support.samples import EXPERIMENT, sample_plan
from tests.support.synthetic import frame, make_plan, write_run

TEXT = EXPERIMENT.replace("faults:\nFAULTS\n", "")
ALLOWED = TEXT.replace("baseline: 5s", "baseline: {for: 4s, errors: 0.5%}")


def test_the_baseline_is_a_time_or_a_table() -> None:
    """``5s``, or for how long and with what share of errors."""
    plain, allowed = parse_experiment(TEXT, "x.yaml"), parse_experiment(ALLOWED, "x.yaml")
    assert (plain.baseline_s, plain.baseline_errors) == (5.0, 0.0)
    assert (allowed.baseline_s, allowed.baseline_errors) == (4.0, pytest.approx(0.005))


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("{for: 4s, errors: 60%}", "60%"),
        ("{for: 4s, errors: -1%}", "-1%"),
        ("{for: 4s, error: 1%}", "error"),
        ("{errors: 5s}", "5s"),
        ("[4s]", "list"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(written: str, found: str) -> None:
    """Line and words."""
    with pytest.raises(BadInput) as refused:
        parse_experiment(TEXT.replace("baseline: 5s", f"baseline: {written}"), "x.yaml")
    assert found in str(refused.value)
    assert refused.value.place is not None
    assert refused.value.place.line == 5


@pytest.mark.parametrize(("errors", "bad", "verdict"), [(0.0, 1, "fail"), (0.01, 2, "pass"), (0.01, 3, "fail"), (0.02, 3, "pass")])
def test_the_baseline_may_have_as_many_bad_requests_as_are_allowed(tmp_path: Path, errors: float, bad: int, verdict: str) -> None:
    """Of 200: one in a hundred are two."""
    plan = make_plan()
    plan = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, baseline_errors=errors))
    records = synthetic.slots(plan, [(0.1 * place - 0.001, 0.1 * place + 0.005) for place in range(1, bad + 1)])
    judged = judge(write_run(tmp_path, plan, frame(plan), records))
    (check,) = [each for each in judged.checks if "baseline" in each.name]
    assert check.verdict == verdict


def test_the_rule_is_raised_until_chance_makes_no_outage() -> None:
    """By a simulation of its own: independent errors of 2 % at 100/s, 200 runs of five minutes."""
    plain = sample_plan(runtime="fake").experiment
    raised = told_apart(msgspec.structs.replace(plain, baseline_errors=0.02), 300.0)
    opens = raised.traffic.outage.open
    assert plain.traffic.outage.open < opens <= 5
    bad = np.random.default_rng(3).random((200, 30_000)) < 0.02

    def share_of_runs(in_a_row: int) -> float:
        """The runs with so many bad ones in a row."""
        there = bad[:, : 30_000 - in_a_row + 1].copy()
        for later in range(1, in_a_row):
            there &= bad[:, later : 30_000 - in_a_row + 1 + later]
        return float(there.any(axis=1).mean())

    assert share_of_runs(opens) <= BY_CHANCE + 0.03
    assert share_of_runs(opens - 1) > BY_CHANCE
    assert told_apart(plain, 300.0) is plain
