"""The rule of the health check, in virtual time."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from chaos.dns.health import Change, Health


def feed(health: Health, results: str, start: int = 0) -> list[Change | None]:
    """``+`` answered, ``-`` failed, in the order due."""
    return [health.result("n1", start + at, ok=sign == "+", why="timed out") for at, sign in enumerate(results)]


def test_the_first_result_decides() -> None:
    """A name must not wait for ``rise`` checks before it answers at all."""
    health = Health(["n1", "n2"], fall=3, rise=3)
    assert not health.all_known
    assert health.result("n1", 0, ok=True) == Change("n1", True, "first check answered")
    assert health.result("n2", 0, ok=False, why="refused") is None
    assert health.all_known
    assert health.healthy == {"n1"}


def test_out_after_fall_failures_in_a_row_and_no_sooner() -> None:
    """A success in between starts the count anew."""
    health = Health(["n1"], fall=3, rise=2)
    assert [change is not None for change in feed(health, "+--+--+---")] == [True] + [False] * 8 + [True]
    assert health.healthy == frozenset()


def test_in_again_after_rise_successes_in_a_row() -> None:
    """And a failure in between starts the count anew; the reason tells the count."""
    health = Health(["n1"], fall=1, rise=3)
    changes = feed(health, "+-++-+++")
    assert [change.why for change in changes if change] == [
        "first check answered",
        "1 check failed: timed out",
        "3 checks in a row answered",
    ]


def test_a_late_failure_does_not_undo_what_a_later_check_saw() -> None:
    """Check 1 hung to its time-out and ends after check 2 was answered: it is passed over."""
    health = Health(["n1"], fall=1, rise=1)
    feed(health, "+")
    assert health.result("n1", 2, ok=True) is None
    assert health.result("n1", 1, ok=False, why="timed out") is None
    assert health.healthy == {"n1"}


def test_replicas_are_counted_apart() -> None:
    """Failures of two nodes do not add up."""
    health = Health(["n1", "n2"], fall=2, rise=1)
    for node in ("n1", "n2"):
        health.result(node, 0, ok=True)
    assert [health.result(node, 1, ok=False) for node in ("n1", "n2")] == [None, None]
    assert health.healthy == {"n1", "n2"}


@given(
    dies_s=st.floats(0, 100),
    every_s=st.floats(0.05, 2.0),
    timeout_share=st.floats(0.05, 1.0),
    fall=st.integers(1, 5),
)
def test_withdrawal_takes_what_the_model_says(dies_s: float, every_s: float, timeout_share: float, fall: int) -> None:
    """A node that goes silent leaves the set after (fall - 1) h + t + something below h, as the module says."""
    timeout_s = every_s * timeout_share
    health = Health(["n1"], fall=fall, rise=1)
    health.result("n1", 0, ok=True)
    number = 0
    while True:
        number += 1
        due_s = number * every_s
        if health.result("n1", number, ok=due_s < dies_s) is not None:
            break
    left_s = due_s + timeout_s - dies_s
    shortest_s = (fall - 1) * every_s + timeout_s
    assert shortest_s <= left_s or math.isclose(shortest_s, left_s, abs_tol=1e-9)
    first_at_all_s = max(dies_s, every_s) - dies_s  # the grid begins with check 1
    assert left_s <= shortest_s + every_s + first_at_all_s + 1e-9


def test_a_name_that_fails_open_answers_with_all_when_none_is_healthy() -> None:
    """Not before each has been checked, and no longer than until one is healthy again; one that fails closed answers with none."""
    health = Health(["a", "b"], fall=1, rise=1)
    assert health.answered(fail_open=True) == frozenset()
    health.result("a", 0, ok=True)
    health.result("b", 0, ok=False)
    assert health.answered(fail_open=True) == {"a"}
    health.result("a", 1, ok=False)
    assert health.answered(fail_open=True) == {"a", "b"}
    assert health.answered(fail_open=False) == frozenset()
    health.result("b", 2, ok=True)
    assert health.answered(fail_open=True) == {"b"}
