"""What clients do between attempts and whom they ask next, on virtual time: waits, budgets, endpoints, names that are forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chaos.core.clock import NS_PER_S
from chaos.experiment.client import Backoff, ClientPolicy, Endpoints, RetryBudget
from chaos.history.observations import Outcome, Why
from tests.unit.traffic.test_prober_engine import START_NS, Run, well

MS = 1_000_000


def refused(_address: str, _now_ns: int) -> tuple[int, Outcome, Why]:
    """At once."""
    return 0, Outcome.FAIL, Why.REFUSED


def policy(attempts: int, deadline_s: float = 0.6, **more: object) -> ClientPolicy:
    return ClientPolicy(timeout_s=0.1, attempts=attempts, deadline_s=deadline_s, **more)  # type: ignore[arg-type]


def test_waits_between_attempts_double_up_to_the_longest(tmp_path: Path) -> None:
    """Without jitter exactly; one that would outlast the deadline is not begun, and the slot ends then and there."""
    backoff = Backoff(first_s=0.05, factor=2.0, most_s=0.15, jitter="none")
    run = Run(tmp_path, refused, duration_s=0.01, client=policy(9, backoff=backoff))
    assert [round((at_ns - START_NS) / MS) for _, at_ns, _ in run.world.sent] == [0, 50, 150, 300, 450]
    assert run.records["done"][0] - START_NS == 450 * MS
    assert run.records["why"][0] == Why.REFUSED
    assert run.records["attempts"][0] == 5


@pytest.mark.parametrize(("jitter", "low", "mean"), [("full", 0.0, 0.5), ("equal", 0.5, 0.75)])
def test_jitter_spreads_the_waits(tmp_path: Path, jitter: str, low: float, mean: float) -> None:
    """Evenly from 0, or from half, to the whole wait; the mean of 1000 uniform draws lies within 5 % of the whole."""
    backoff = Backoff(first_s=0.1, jitter=jitter)  # type: ignore[arg-type]
    run = Run(tmp_path, refused, duration_s=10.0, client=policy(2, backoff=backoff))
    second = [at_ns for _, at_ns, _ in sorted(run.world.sent, key=lambda each: each[0])]
    shares = np.array([(second[2 * slot + 1] - second[2 * slot]) / (100 * MS) for slot in range(1000)])
    assert shares.min() >= low
    assert shares.max() <= 1.0
    assert abs(shares.mean() - mean) < 0.05


def test_a_slot_between_attempts_is_not_cut(tmp_path: Path) -> None:
    """The time-out of an attempt that has ended says nothing; nothing is sent before the wait is over."""
    answers = iter([refused("", 0), well("", 0)])
    backoff = Backoff(first_s=0.3, most_s=0.3, jitter="none")  # three time-outs
    run = Run(tmp_path, lambda *_: next(answers), duration_s=0.01, client=policy(2, backoff=backoff))
    assert run.outcomes == [Outcome.OK]
    assert run.records["done"][0] - START_NS == 301 * MS


def test_a_budget_bounds_the_further_attempts(tmp_path: Path) -> None:
    """A burst, then one for each ten requests: 1000 that all fail are retried 5 + 99 times, not 2000 times."""
    run = Run(tmp_path, refused, duration_s=10.0, client=policy(3, retry_budget=RetryBudget(ratio=0.1, burst=5.0)))
    assert abs(len(run.world.sent) - 1000 - (5 + 99)) <= 1
    assert run.records["attempts"].max() == 3
    assert Run(tmp_path, well, duration_s=1.0, client=policy(3, retry_budget=RetryBudget())).records["attempts"].max() == 1


def test_a_list_is_asked_in_its_order(tmp_path: Path) -> None:
    """The first one as long as it answers; each request begins with it anew."""
    addresses = ("127.1.1.1", "127.1.1.2", "127.1.1.3")
    client = policy(3, endpoints=Endpoints(order="listed"))
    assert {at for _, _, at in Run(tmp_path, well, addresses=addresses, client=client).world.sent} == {addresses[0]}
    run = Run(
        tmp_path, lambda at, now_ns: well(at, now_ns) if at == addresses[2] else refused(at, now_ns), addresses=addresses, client=client
    )
    assert [at for _, _, at in run.world.sent] == list(addresses) * 100
    assert set(run.outcomes) == {Outcome.OK}


def test_a_client_stays_where_it_is_answered(tmp_path: Path) -> None:
    """When its node dies it goes to the next one, once, and does not come back."""
    addresses = ("127.1.1.1", "127.1.1.2", "127.1.1.3")

    def dies(address: str, now_ns: int) -> tuple[int, Outcome, Why]:
        dead = address == addresses[0] and START_NS + 3 * NS_PER_S <= now_ns < START_NS + 5 * NS_PER_S
        return refused(address, now_ns) if dead else well(address, now_ns)

    run = Run(tmp_path, dies, addresses=addresses, duration_s=10.0, client=policy(2, endpoints=Endpoints(order="sticky")))
    asked = [at for _, _, at in run.world.sent]
    assert asked == [addresses[0]] * 301 + [addresses[1]] * 700
    assert set(run.outcomes) == {Outcome.OK}


@pytest.mark.parametrize(("forgets", "questions"), [(True, 1), (False, 0)])
def test_a_failed_connection_makes_the_client_ask_again(tmp_path: Path, forgets: bool, questions: int) -> None:
    """What an answer says of the service itself does not: only the first of ten slots meets nobody."""
    answers = iter([refused("", 0), *[(MS, Outcome.FAIL, Why.ERROR)] * 8, well("", 0)])

    def known(run: Run) -> None:
        run.engine._resolver._keep("web", ("127.1.1.1",), 10**15, START_NS)

    client = policy(1, deadline_s=0.1, resolve_on_error=forgets)
    run = Run(tmp_path, lambda *_: next(answers), addresses=(), duration_s=0.1, client=client, before=known)
    assert len(run.questions) >= questions
    assert bool(run.questions) == forgets
    assert run.records["why"][0] == Why.REFUSED
    assert run.records["why"][1] == (Why.NO_DNS if forgets else Why.ERROR)
