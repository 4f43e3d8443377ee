"""What clients see of a fault: the sampled slots against formulas that can be written down, and against a slow loop."""

from __future__ import annotations

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from chaos.experiment.traffic import ClientPolicy
from chaos.predict.scenarios.client import Block, Fate, Group, Scenario, Seen, Spell, see
from chaos.predict.scenarios.outages import Rule
from tests.reference.delays import follower_loss_s

SAMPLES = 4_000
SLOT_S = 0.01
EVERY_SLOT = Rule(SLOT_S, 1, 1)
USUAL = Rule(SLOT_S, 2, 2)


def same(value_s: float) -> NDArray[np.float64]:
    """The same time in every sample."""
    return np.full(SAMPLES, value_s)


def one(fate: Fate, until_s: float) -> Scenario:
    """A single node in one spell."""
    return Scenario(SAMPLES, (Group(1, (Spell(fate, same(until_s)),)),))


def policy(**changes: float | bool | str) -> ClientPolicy:
    """One attempt of 100 ms within 600 ms, unless said otherwise."""
    told = {"timeout_s": 0.1, "attempts": 1, "deadline_s": 0.6, **changes}
    return ClientPolicy(**told)  # type: ignore[arg-type]


def rng() -> np.random.Generator:
    """A fixed generator."""
    return np.random.default_rng(7)


def test_a_refusal_is_seen_in_full() -> None:
    """Retries at once do not help against a node that refuses: the outage is as long as the refusal, to within a slot, and unbiased."""
    for attempts in (1, 3):
        seen = see(one(Fate.REFUSE, 0.457), policy(attempts=attempts), USUAL, rng())
        assert seen.downtime_s.mean() == pytest.approx(0.457, abs=4e-4)
        assert set(np.round(seen.downtime_s / SLOT_S)) == {45, 46}
        assert seen.noticed.all()
        assert (seen.outages == 1).all()


@pytest.mark.parametrize(
    ("fate", "attempts", "hidden_s"),
    [(Fate.WAIT, 1, 0.1), (Fate.WAIT, 3, 0.3), (Fate.LOSE, 1, 0.0), (Fate.LOSE, 3, 0.2), (Fate.DROP, 3, 0.2)],
)
def test_what_retries_in_time_hide(fate: Fate, attempts: int, hidden_s: float) -> None:
    """Held attempts hide their whole window, those that are lost or given up all but the last attempt's."""
    seen = see(one(fate, 0.8), policy(attempts=attempts), USUAL, rng())
    assert seen.downtime_s.mean() == pytest.approx(0.8 - hidden_s, abs=1.5e-3)


def test_the_deadline_cuts_the_window() -> None:
    """Ten attempts do not hide more than the slot's deadline."""
    seen = see(one(Fate.WAIT, 2.0), policy(attempts=10, deadline_s=0.35), USUAL, rng())
    assert seen.downtime_s.mean() == pytest.approx(2.0 - 0.35, abs=1.5e-3)


def test_shorter_than_the_rule() -> None:
    """An outage of less than two slots opens nothing; one between one and two slots opens by its phase."""
    assert not see(one(Fate.REFUSE, 0.0099), policy(), USUAL, rng()).noticed.any()
    share = see(one(Fate.REFUSE, 0.0125), policy(), USUAL, rng()).noticed.mean()
    assert share == pytest.approx(0.25, abs=0.03)


def test_another_address_saves_a_loud_node() -> None:
    """One dead node of three: a second attempt elsewhere succeeds at once, so nobody notices; at the same address it may not."""
    dead = Scenario(SAMPLES, (Group(1, (Spell(Fate.REFUSE, same(1.0)),)), Group(2, ())))
    assert not see(dead, policy(attempts=2), USUAL, rng()).noticed.any()
    again = see(dead, policy(attempts=2, other_address=False), EVERY_SLOT, rng())
    assert again.downtime_s.mean() == pytest.approx(1.0 / 9, rel=0.02)


def test_two_silent_nodes_use_up_the_deadline() -> None:
    """Two silent nodes of three cost two time-outs: with a deadline behind them the third attempt still saves the slot, else not."""
    silent = Scenario(SAMPLES, (Group(2, (Spell(Fate.LOSE, same(1.0)),)), Group(1, ())))
    assert not see(silent, policy(attempts=3, deadline_s=0.6), USUAL, rng()).noticed.any()
    late = see(silent, policy(attempts=3, deadline_s=0.2), EVERY_SLOT, rng())
    assert late.downtime_s.mean() == pytest.approx(0.9 / 3, rel=0.03)  # the second attempt of the last 100 ms finds them well


@pytest.mark.parametrize(("down_s", "left_s", "ttl_s"), [(3.0, 0.4, 1.0), (0.3, 0.4, 1.0), (0.9, 0.4, 1.0)])
def test_lost_seconds_of_a_follower(down_s: float, left_s: float, ttl_s: float) -> None:
    """Withdrawn record and cached answers: the sampled bad slots are the lost seconds of the formula."""
    generator = rng()
    stale_s = left_s + generator.uniform(0, ttl_s, SAMPLES)
    crashed = Scenario(SAMPLES, (Group(1, (Spell(Fate.REFUSE, same(down_s)),), left_s=stale_s), Group(2, ())))
    seen = see(crashed, policy(), EVERY_SLOT, generator)
    assert seen.downtime_s.mean() == pytest.approx(follower_loss_s(1 / 3, down_s, left_s, ttl_s), rel=0.02)


def test_an_empty_answer_fails() -> None:
    """While the name has no node, every slot is bad."""
    away = Scenario(SAMPLES, (Group(3, (), left_s=same(-1.0), back_s=same(0.5)),))
    seen = see(away, policy(attempts=2), USUAL, rng())
    assert seen.downtime_s.mean() == pytest.approx(0.5, abs=5e-4)


def test_slow_answers_against_the_time_out() -> None:
    """Answers that take U(50, 150) ms miss a time-out of 100 ms half the time: a second try halves that again."""
    slow = Scenario(SAMPLES, (Group(1, (Spell(Fate.SLOW, same(2.0), lambda r, size: r.uniform(0.05, 0.15, size)),)),))
    for attempts, lost_s in ((1, 0.5 * 2.0), (2, 0.25 * 1.9)):  # second tries of the last 100 ms find it well
        seen = see(slow, policy(attempts=attempts), EVERY_SLOT, rng())
        assert seen.downtime_s.mean() == pytest.approx(lost_s, rel=0.02)


@pytest.mark.parametrize(("slowest_s", "asks"), [(0.08, False), (0.1, True), (0.3, True)])
def test_answers_that_are_always_in_time_need_not_be_asked(slowest_s: float, asks: bool) -> None:
    """What is known to be in time costs nothing, and gives what asking every slot gives; at the time-out itself every slot is asked."""
    asked: list[int] = []

    def service(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
        asked.append(size)
        return generator.uniform(0.0, slowest_s, size)

    def seen(most_s: float) -> Seen:
        spell = Spell(Fate.SLOW, same(0.5), service, most_s)
        return see(Scenario(SAMPLES, (Group(1, (spell,)), Group(2, (spell,)))), policy(), USUAL, rng())

    known = seen(slowest_s)
    assert bool(asked) == asks
    unknown = seen(np.inf)
    assert asked
    for name in ("downtime_s", "recovery_s", "outages", "lost_s"):
        assert (getattr(known, name) == getattr(unknown, name)).all()


def test_phases_sum_to_the_outage() -> None:
    """The blocks and what is left for the client make up the mean outage."""
    detected_s, elected_s = same(0.3), same(0.35)
    scenario = Scenario(
        SAMPLES, (Group(3, (Spell(Fate.REFUSE, same(0.5)),)),), (Block("detection", detected_s), Block("election", elected_s))
    )
    seen = see(scenario, policy(), USUAL, rng())
    assert seen.phases["detection"] == pytest.approx(0.3, abs=1e-3)
    assert seen.phases["election"] == pytest.approx(0.05, abs=1e-3)
    assert seen.phases["client"] == pytest.approx(0.15, abs=1e-3)
    assert sum(seen.phases.values()) == pytest.approx(float(seen.downtime_s.mean()), abs=1e-9)


def by_hand(draw: random.Random, told: ClientPolicy, rule: Rule) -> float:
    """One paused leader of three, slot by slot: others drop until 0.3, refuse until 0.35; the victim is silent until 1.0."""
    bad = []
    due_s = draw.uniform(0, rule.slot_s)
    while due_s < 1.6:
        bad.append(not _slot(draw, told, due_s))
        due_s += rule.slot_s
    total, down, streak = 0, False, 0
    for is_bad in [*bad, False, False]:
        streak = streak + 1 if is_bad != down else 0
        total += down
        if streak == (rule.close if down else rule.open):
            total += -rule.close + 1 - 1 if down else rule.open
            down, streak = not down, 0
    return total * rule.slot_s


def _slot(draw: random.Random, told: ClientPolicy, due_s: float) -> bool:
    at_s, left = due_s, [0, 1, 2]
    for _ in range(told.attempts):
        expiry_s = min(at_s + told.timeout_s, due_s + told.deadline_s)
        if at_s >= due_s + told.deadline_s:
            return False
        node = draw.choice(left)
        left.remove(node)
        if node == 0 and at_s < 1.0:
            at_s = expiry_s
        elif node != 0 and at_s < 0.3:
            at_s = min(expiry_s, 0.3)
        elif node != 0 and at_s < 0.35:
            pass
        else:
            return True
    return False


@pytest.mark.parametrize("attempts", [1, 2])
def test_against_a_loop_by_hand(attempts: int) -> None:
    """All samples at once give what going slot by slot gives, within the error of both: partial outages, retries and the rule."""
    spells = (Spell(Fate.DROP, same(0.3)), Spell(Fate.REFUSE, same(0.35)))
    paused = Scenario(SAMPLES, (Group(1, (Spell(Fate.LOSE, same(1.0)),)), Group(2, spells)))
    told = policy(attempts=attempts, timeout_s=0.25)
    seen = see(paused, told, USUAL, rng())
    draw = random.Random(3)
    slow = np.array([by_hand(draw, told, USUAL) for _ in range(1_500)])
    error = np.sqrt(slow.var() / len(slow) + seen.downtime_s.var() / SAMPLES)
    assert seen.downtime_s.mean() == pytest.approx(slow.mean(), abs=5 * error)
    assert seen.downtime_s.std() == pytest.approx(slow.std(), rel=0.12)
