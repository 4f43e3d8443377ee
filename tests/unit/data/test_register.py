"""Zones against the definition: a history is linearizable if and only if some order of its operations explains it."""

from __future__ import annotations

import pytest

from chaos.data.check import Budget
from chaos.data.operations import NEVER, KeyHistory
from chaos.data.register import of_registers
from tests.support.histories import by_definition, history, random_history


def by_zones(key: KeyHistory) -> bool:
    """What the checker says."""
    return next(iter(of_registers(key, Budget(10.0))), None) is None


@pytest.mark.parametrize(
    ("text", "linearizable"),
    [
        ("1 w a 0-10\n2 r a 20-30", True),
        ("1 w a 0-10\n2 r - 20-30", False),
        ("1 w a 0-10\n2 r - 5-30", True),
        ("1 w a 0-50\n2 r a 10-20\n3 r - 30-40", False),  # seen, and then not
        ("1 w a 0-?\n2 r - 10-20\n2 r a 30-40\n2 r a 50-60", True),  # an unknown write that takes effect late
        ("1 w a 0-?\n2 r a 10-20\n3 w b 30-40\n2 r a 50-60", False),  # it cannot take effect twice
        ("1 w a 0-10\n2 w b 20-30\n3 r b 40-50\n3 r a 60-70", False),
        ("1 w a 0-100\n2 w b 0-100\n3 r a 10-20\n3 r b 30-40\n3 r a 50-60", False),
        ("1 r a 0-10\n2 w a 5-15", True),
        ("1 r a 0-4\n2 w a 5-15", False),
        ("1 w a 0-!\n2 r a 20-30", False),
        ("1 w a 0-10\n2 r - 10-30", True),  # at the same instant: nobody can say which came first
    ],
)
def test_histories_judged_by_eye(text: str, linearizable: bool) -> None:
    """Also by the definition, so that the definition is tried too."""
    key = history(text)
    assert by_zones(key) is linearizable
    assert by_definition(key) is linearizable


@pytest.mark.parametrize("wrong", [0.0, 0.15])
def test_random_histories_are_judged_as_by_the_definition(wrong: float) -> None:
    """Right ones are all linearizable; of the others some are, and it is the same ones."""
    seen = {True: 0, False: 0}
    for seed in range(150):
        key = random_history(seed, operations=9, sessions=3, wrong=wrong)
        truth = by_definition(key)
        assert by_zones(key) is truth, f"seed {seed}"
        seen[truth] += 1
    assert seen[False] > 20 if wrong else seen[False] == 0


def test_a_violation_is_shown_by_few_operations_that_violate_alone() -> None:
    """Whatever else happened, those that are named cannot be explained by themselves."""
    shown = 0
    for seed in range(100):
        key = random_history(seed, operations=40, sessions=5, wrong=0.1)
        for conflict in of_registers(key, Budget(10.0)):
            assert len(conflict.operations) <= 6
            assert not by_zones(KeyHistory(key.key, conflict.operations)), f"seed {seed}"
            assert conflict.contradicts <= {each.n for each in conflict.operations}
            shown += 1
    assert shown > 50


def test_unread_writes_of_unknown_outcome_never_matter() -> None:
    """They may not have been done: that nothing is seen of them proves nothing."""
    key = random_history(3, operations=30, wrong=0.0)
    assert any(write.return_ns == NEVER for write in key.writes)
    assert by_zones(key)
