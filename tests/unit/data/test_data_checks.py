"""Each check on histories small enough to be judged by eye: what it must find, and what it must not."""

from __future__ import annotations

import time

import pytest

from chaos.core import plugins
from chaos.data.check import Budget, Check, Finding, carried_out
from chaos.data.operations import DataHistory
from chaos.history.journal import Journal
from tests.support.histories import data_history, history, journal_of


def found(name: str, text: str, workload: str = "register", nodes: dict[str, str | None] | None = None) -> int | None:
    """How many violations."""
    return carried_out(plugins.find("checks", name)(), data_history(text, workload, nodes), 10.0).count


KEPT = """
1 w a 0-10
2 w b 20-30
1 r b 40-50
0 r b 100-110
"""
LOST = """
1 w a 0-10
2 w b 20-30
0 r a 100-110
"""


@pytest.mark.parametrize(
    ("text", "nodes", "count"),
    [
        (KEPT, {}, 0),
        (LOST, {}, 1),
        (LOST, {"n1": "a", "n2": "b"}, 1),  # one node has it still, and shows it to nobody
        ("1 w a 0-10\n0 r - 100-110", {}, 1),
        ("1 w a 0-?\n0 r - 100-110", {}, 0),  # never acknowledged
        ("1 w a 0-10\n2 w b 5-15\n0 r a 100-110", {}, 0),  # at the same time: a may be the later one
        ("1 w a 0-10\n2 w b 20-30\n3 w c 40-50\n0 r a 100-110", {}, 2),
        ("1 w a 0-10\n2 w b 20-?\n0 r b 100-110", {}, 0),  # an unknown write took effect late
        ("1 w a 0-10", {}, None),  # nobody looked in the end
    ],
)
def test_lost_writes_of_a_register(text: str, nodes: dict[str, str | None], count: int | None) -> None:
    """Acknowledged, and certainly newer than all that is there when the run is over."""
    assert found("lost_writes", text, nodes=nodes) == count


@pytest.mark.parametrize(
    ("text", "workload", "count"),
    [
        ("1 w a 0-10\n2 w b 0-10\n0 r a,b 100-110", "set", 0),
        ("1 w a 0-10\n2 w b 0-10\n0 r b 100-110", "set", 1),
        ("1 w a 0-10\n2 w b 0-?\n0 r a 100-110", "list", 0),
        ("1 w 1 0-10\n2 w 1 0-10\n0 r 2 100-110", "counter", 0),
        ("1 w 1 0-10\n2 w 1 0-10\n0 r - 100-110", "counter", 2),
    ],
)
def test_lost_writes_of_what_grows(text: str, workload: str, count: int) -> None:
    """A member that is gone, a counter that shows less than was acknowledged."""
    assert found("lost_writes", text, workload) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (KEPT, 0),
        ("1 w a 0-10\n2 r x 20-30", 1),
        ("1 w a 0-!\n2 r a 20-30", 1),  # its write was surely not done
        ("1 w a 0-?\n2 r a 20-30", 0),
        ("2 r a 0-5\n1 w a 10-20", 1),  # before it was written
        ("2 r a 0-15\n1 w a 10-20", 0),
    ],
)
def test_phantom_writes(text: str, count: int) -> None:
    """What nobody wrote, what was refused, what comes from the future."""
    assert found("phantom_writes", text) == count


@pytest.mark.parametrize(
    ("text", "workload", "count"),
    [
        ("1 w a 0-10\n2 r a,a 20-30", "list", 1),
        ("1 w a 0-10\n2 w b 0-10\n2 r b,a 20-30", "list", 0),
        ("1 w 1 0-10\n2 w 1 15-25\n2 r 2 20-30", "counter", 0),
        ("1 w 1 0-10\n2 w 1 40-45\n2 r 2 20-30", "counter", 1),
        ("1 w 1 0-?\n2 r 1 20-30", "counter", 0),
    ],
)
def test_duplicate_writes(text: str, workload: str, count: int) -> None:
    """A member twice; a counter that is ahead of all that was asked of it."""
    assert found("duplicate_writes", text, workload) == count


@pytest.mark.parametrize(
    ("text", "workload", "count"),
    [
        (KEPT, "register", 0),
        ("1 w a 0-10\n2 w b 20-30\n3 r a 40-50", "register", 1),
        ("1 w a 0-10\n2 w b 20-30\n3 r a 25-50", "register", 0),  # called before b was acknowledged
        ("1 w a 0-10\n2 w b 20-?\n3 r b 30-40\n3 r a 50-60", "register", 1),  # somebody had seen b
        ("1 w a 0-10\n2 w b 20-?\n3 r a 50-60", "register", 0),
        ("1 w a 0-10\n3 r - 20-30", "register", 1),
        ("1 w a 0-10\n3 r - 20-30", "set", 1),
        ("1 w 1 0-10\n3 r - 20-30", "counter", 1),
    ],
)
def test_stale_reads(text: str, workload: str, count: int) -> None:
    """Something newer had certainly taken effect before the read was called."""
    assert found("stale_reads", text, workload) == count


def test_how_stale_a_read_is() -> None:
    """Since when it was known that something newer was there: here from 30 ms to 530 ms."""
    times = "1 w a 0-10000000\n2 w b 20000000-30000000\n3 r a 530000000-540000000"
    finding = carried_out(plugins.find("checks", "stale_reads")(), data_history(times), 10.0)
    assert finding.said == "out of date by up to 500 ms"
    assert [each.n for each in finding.breaches[0].operations] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1 w a 0-10\n1 r a 20-30", 0),
        ("1 w a 0-10\n1 r - 20-30", 1),
        ("1 w a 0-10\n2 r - 20-30", 0),  # another session: stale, but no matter of this check
        ("2 w b 15-40\n1 w a 0-10\n1 r b 20-30", 0),  # somebody else's is newer
        ("1 w a 0-?\n1 r - 20-30", 0),
    ],
)
def test_read_your_writes(text: str, count: int) -> None:
    """Against a session's own acknowledged writes."""
    assert (found("read_your_writes", text) or 0) == count


@pytest.mark.parametrize(
    ("text", "workload", "count"),
    [
        ("1 w a 0-10\n2 w b 20-30\n3 r a 25-28\n3 r b 40-50", "register", 0),
        ("1 w a 0-10\n2 w b 20-30\n3 r b 40-50\n3 r a 60-70", "register", 1),
        ("1 w a 0-10\n2 w b 20-30\n3 r b 40-50\n4 r a 60-70", "register", 0),  # another session
        ("1 w a 0-90\n2 w b 0-90\n3 r a 10-20\n3 r b 30-40\n3 r a 50-60", "register", 1),  # back to what it had left
        ("1 w a 0-10\n2 w b 0-10\n3 r a,b 20-30\n3 r b 40-50", "set", 1),
        ("1 w a 0-10\n2 w b 0-10\n3 r a 20-30\n3 r b,a 40-50", "list", 1),
        ("1 w a 0-10\n2 w b 0-10\n3 r a 20-30\n3 r b,a 40-50", "set", 0),
    ],
)
def test_monotonic_reads(text: str, workload: str, count: int) -> None:
    """Within a session, never back."""
    assert found("monotonic_reads", text, workload) == count


@pytest.mark.parametrize(
    ("nodes", "count"),
    [({"n1": "a", "n2": "a"}, 0), ({"n1": "a", "n2": "b"}, 1), ({"n1": "a", "n2": None}, 1), ({"n1": "a"}, None), ({}, None)],
)
def test_diverged_replicas(nodes: dict[str, str | None], count: int | None) -> None:
    """Each node as it was in the end; one alone proves nothing."""
    assert found("diverged_replicas", KEPT, nodes=nodes) == count


# --- checks that go wrong ----------------------------------------------------------------------------------------------


class Crashes(Check):
    """It fails."""

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Never finds anything."""
        raise ZeroDivisionError("of the check's own")


class Endless(Check):
    """It ends by its budget."""

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """Until there is no time left."""
        while True:
            budget.spend()


class Careless(Check):
    """It does not look at its budget."""

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """For ever."""
        while True:
            time.monotonic()


class Mute(Check):
    """It finds nothing, not even that there is nothing."""

    def check(self, history: DataHistory, budget: Budget) -> Finding:
        """No finding."""
        return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("check", "says"),
    [
        (Crashes(), "the check failed: ZeroDivisionError: of the check's own"),
        (Endless(), "the check took longer than 50 ms"),
        (Careless(), "the check took longer than 50 ms"),
        (Mute(), "the check gave no finding but NoneType"),
    ],
)
def test_a_check_that_goes_wrong_is_unknown(check: Check, says: str) -> None:
    """Whatever it does, it is never ok."""
    finding = carried_out(check, data_history(KEPT), 0.05)
    assert finding.count is None
    assert finding.said.startswith(says)


def test_a_journal_without_its_end_leaves_open_what_only_the_end_tells() -> None:
    """A crash cuts off the last reading, and nothing else is taken for one."""
    cut = DataHistory("register", journal_of(history("1 w a 0-10\n2 r a 20-30"), ended=False))
    assert carried_out(plugins.find("checks", "lost_writes")(), cut, 10.0).count is None
    assert carried_out(plugins.find("checks", "stale_reads")(), cut, 10.0).count == 0
    assert DataHistory("register", Journal([])).operations == []
