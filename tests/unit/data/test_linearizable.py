"""The checkers of counters, sets and lists, and the general search, against the definition."""

from __future__ import annotations

from collections.abc import Hashable

import pytest

from chaos.data.check import Budget, OutOfTime, carried_out
from chaos.data.checks.linearizable import BY_WORKLOAD, Linearizable
from chaos.data.conflict import smallest
from chaos.data.operations import DataHistory, KeyHistory
from chaos.data.search import Step, explained
from tests.support.histories import by_definition, data_history, history, journal_of, random_history

GROWING = ("counter", "set", "list")


def checked(key: KeyHistory, workload: str) -> bool:
    """What the checker of this workload says."""
    return next(iter(BY_WORKLOAD[workload](key, Budget(20.0))), None) is None


@pytest.mark.parametrize(
    ("workload", "text", "linearizable"),
    [
        ("counter", "1 w 1 0-10\n2 w 1 0-10\n3 r 1 5-8\n3 r 2 20-30", True),
        ("counter", "1 w 1 0-10\n2 w 1 0-10\n3 r 2 5-8\n4 r 1 9-12", False),
        ("counter", "1 w 1 0-?\n2 r 0 10-20\n2 r 1 30-40\n2 r 0 50-60", False),
        ("counter", "1 w 1 0-?\n2 r 0 10-20\n2 r 1 30-40", True),
        ("set", "1 w a 0-10\n2 w b 0-10\n3 r a 5-8\n3 r b,a 20-30", True),
        ("set", "1 w a 0-10\n2 w b 0-10\n3 r a 5-8\n4 r b 5-8", False),
        ("set", "1 w a 0-10\n3 r - 20-30", False),
        ("list", "1 w a 0-10\n2 w b 0-10\n3 r a 5-8\n3 r a,b 20-30", True),
        ("list", "1 w a 0-10\n2 w b 0-10\n3 r a 5-8\n3 r b,a 20-30", False),
        ("list", "1 w a 0-10\n2 w b 20-30\n3 r b,a 40-50", False),  # in the order opposite to that of the clients
        ("list", "1 w a 0-10\n2 w b 20-?\n3 r a 40-50\n3 r a,b 60-70", True),
        ("list", "1 w a 0-10\n3 r a,a 40-50", False),
        ("list", "1 w a 0-10\n3 r a,x 40-50", False),
    ],
)
def test_histories_judged_by_eye(workload: str, text: str, linearizable: bool) -> None:
    """By the whole check, from the journal on."""
    does = {"counter": "incr", "set": "add", "list": "append"}[workload]
    found = carried_out(Linearizable(), DataHistory(workload, journal_of(history(text, does), workload)), 10.0)
    assert found.count == (0 if linearizable else 1)


@pytest.mark.parametrize("wrong", [0.0, 0.12])
@pytest.mark.parametrize("workload", GROWING)
def test_random_histories_are_judged_as_by_the_definition(workload: str, wrong: float) -> None:
    """Right ones are all linearizable; of the others some are, and it is the same ones."""
    seen = {True: 0, False: 0}
    for seed in range(120):
        key = random_history(seed, workload, operations=9, sessions=3, wrong=wrong)
        truth = by_definition(key, workload)
        assert checked(key, workload) is truth, f"seed {seed}"
        seen[truth] += 1
    assert seen[False] > 15 if wrong else seen[False] == 0


def register(state: Hashable, what: Hashable) -> Hashable | None:
    """The model of a register: ``(value,)`` writes, (``read``, value) reads; the empty word is nothing."""
    assert isinstance(what, tuple)
    return what[0] if len(what) == 1 else state if state == what[1] else None


def test_the_general_search_agrees_with_the_zones() -> None:
    """On registers, which both can judge; long enough that no order is tried by hand."""
    seen = {True: 0, False: 0}
    for seed in range(60):
        key = random_history(seed, operations=60, sessions=5, wrong=0.02 if seed % 2 else 0.0)
        read = {each.found for each in key.reads}
        steps = [Step(each.call_ns, each.return_ns, ("read", each.found or "")) for each in key.reads]
        steps += [Step(each.call_ns, each.return_ns, (each.value,)) for each in key.writes if each.ok or each.value in read]
        truth = checked(key, "register")
        assert explained(steps, "", register, Budget(20.0)) is truth, f"seed {seed}"
        seen[truth] += 1
    assert min(seen.values()) > 10


def test_increments_that_may_not_have_been_done_cost_no_exponential_search() -> None:
    """Which of forty alike ones took effect makes no difference."""
    lines = [f"1 w 1 {at}-?" for at in range(40)] + [f"2 r {count} {100 + 10 * count}-{105 + 10 * count}" for count in range(20)]
    assert checked(history("\n".join(lines), "incr"), "counter")
    back = [*lines, "2 r 3 900-905"]
    assert not checked(history("\n".join(back), "incr"), "counter")


def test_a_search_that_takes_too_long_is_unknown() -> None:
    """It is not ok."""
    key = random_history(1, "counter", operations=400, sessions=20)
    with pytest.raises(OutOfTime):
        list(BY_WORKLOAD["counter"](key, Budget(-1.0)))


@pytest.mark.parametrize("workload", ["register", "set", "list"])
def test_the_operations_that_are_shown_violate_by_themselves_and_none_is_left_over(workload: str) -> None:
    """A conflict is explained by what stands there alone; without any one read of it there is none."""
    shown = 0
    for seed in range(60):
        key = random_history(seed, workload, operations=30, sessions=4, wrong=0.1)
        conflicts = BY_WORKLOAD[workload]
        for conflict in conflicts(key, Budget(20.0)):
            least = smallest(key.key, conflict, conflicts, Budget(20.0))
            assert len(least.operations) <= 6
            assert not by_definition(KeyHistory(key.key, list(least.operations)), workload), f"seed {seed}"
            for read in least.operations:
                rest = [each for each in least.operations if each is not read]
                assert not read.reads or checked(KeyHistory(key.key, rest), workload)
            shown += 1
    assert shown > 40


def test_what_is_said_of_a_violation() -> None:
    """In the words of somebody who looks at the operations."""
    found = carried_out(Linearizable(), data_history("1 w a 0-10\n2 w b 20-30\n3 w c 60-65\n3 r a 40-50\n3 r b 70-80"), 10.0)
    assert [each.n for each in found.breaches[0].operations] == [1, 2, 4]
    assert found.breaches[0].said == "no order of the writes explains that 'a' and 'b' were seen so"
