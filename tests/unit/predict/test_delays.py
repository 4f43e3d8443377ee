"""Delay blocks: drawn, they have the mean and the variance they claim; limits and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chaos.core.errors import BadInput
from chaos.predict.scenarios.delays import DnsWithdrawal, HeartbeatDetection, RandomisedElection, Uniform
from tests.reference.delays import all_dead, detection_variance_s2, follower_loss_s, stale_seconds

DRAWS = 100_000


@pytest.mark.parametrize(
    "block", [HeartbeatDetection(1.0, 3, 0.5), DnsWithdrawal(0.25, 2, 0.2), DnsWithdrawal(0.25, 1, 0.0), Uniform(0.5, 1.0)]
)
def test_mean_and_variance(block: HeartbeatDetection | DnsWithdrawal | Uniform) -> None:
    """What is drawn has the exact moments, within the error of the draws."""
    drawn_s = block.sample(np.random.default_rng(1), DRAWS)
    assert drawn_s.mean() == pytest.approx(block.mean_s, abs=5 * math.sqrt(block.variance_s2 / DRAWS))
    assert drawn_s.var() == pytest.approx(block.variance_s2, rel=0.03)


def test_heartbeats_worked() -> None:
    """(k - 1/2) h + timeout, variance h^2 / 12."""
    block = HeartbeatDetection(1.0, 3, 0.0)
    assert block.mean_s == 2.5
    assert block.variance_s2 == pytest.approx(1 / 12)


@pytest.mark.parametrize("voters", [1, 2, 4, 6])
def test_election_detection(voters: int) -> None:
    """The least of so many time-outs, less the elapsed heartbeat: mean low + (high - low) / (voters + 1) - h / 2."""
    election = RandomisedElection(voters, min(voters, 2), Uniform(0.5, 1.0), 0.1, 0.0)
    stood_s, led_s = election.sample(np.random.default_rng(2), DRAWS)
    assert stood_s.mean() == pytest.approx(election.detection_mean_s, abs=5 * math.sqrt(detection_variance_s2(election) / DRAWS))
    assert stood_s.var() == pytest.approx(detection_variance_s2(election), rel=0.04)
    np.testing.assert_array_equal(stood_s, led_s)  # without a round trip to wait for, whoever stands leads


@pytest.mark.parametrize(("voters", "quorum", "round_trip_s"), [(2, 2, 0.05), (4, 3, 0.1), (3, 2, 0.2)])
def test_split_votes(voters: int, quorum: int, round_trip_s: float) -> None:
    """As many first ballots are lost as the spacings of uniform draws say; each costs another time-out."""
    election = RandomisedElection(voters, quorum, Uniform(0.5, 1.0), 0.1, round_trip_s)
    stood_s, led_s = election.sample(np.random.default_rng(3), DRAWS)
    split = led_s - stood_s > 2 * round_trip_s + 1e-9
    share = election.split_share()
    assert 0.0 < share < 1.0
    assert split.mean() == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / DRAWS))
    assert (led_s - stood_s)[split].min() >= 0.5


def test_refused_ballots_cost_another_time_out() -> None:
    """Each ballot is refused with the same chance: so many elections take a second round, and the square of it a third."""
    election = RandomisedElection(2, 2, Uniform(0.5, 1.0), 0.1, 0.0, refused=0.2)
    stood_s, led_s = election.sample(np.random.default_rng(5), DRAWS)
    again = led_s - stood_s > 0
    assert again.mean() == pytest.approx(0.2, abs=5 * math.sqrt(0.2 * 0.8 / DRAWS))
    assert (led_s - stood_s)[again].min() >= 0.5
    # The first of two draws is 0.5 + 0.5 / 3 on average, each round; there are 0.2 / 0.8 of them on average.
    assert (led_s - stood_s).mean() == pytest.approx((0.5 + 0.5 / 3) * 0.25, rel=0.03)


def test_two_voters_split_by_the_round_trip() -> None:
    """Of two uniform draws the gap is below w with probability 1 - (1 - w)^2; w is the way of the request, half a round trip."""
    election = RandomisedElection(2, 2, Uniform(0.5, 1.0), 0.1, 0.05)
    assert election.split_share() == pytest.approx(1 - 0.95**2)


def test_five_nodes_need_two_rivals_to_split() -> None:
    """With four voters and a quorum of three, one rival is not enough."""
    election = RandomisedElection(4, 3, Uniform(0.5, 1.0), 0.1, 0.02)
    assert election.split_share() < 0.04 * RandomisedElection(2, 2, Uniform(0.5, 1.0), 0.1, 0.02).split_share() * 4
    stands_s = np.array([[0.50, 0.51, 0.80, 0.90]])
    _, led_s = election.ballots(np.random.default_rng(4), stands_s)
    assert led_s[0] == pytest.approx(0.54)


@pytest.mark.parametrize(
    ("election", "said"),
    [
        (RandomisedElection(1, 2, Uniform(0.5, 1.0), 0.1, 0.0), "cannot give"),
        (RandomisedElection(2, 2, Uniform(0.1, 0.2), 0.2, 0.0), "depose"),
        (RandomisedElection(2, 2, Uniform(1.0, 0.5), 0.1, 0.0), "range of times"),
    ],
)
def test_impossible_elections_are_refused(election: RandomisedElection, said: str) -> None:
    """Too few voters, a heartbeat above the time-out, a range that ends before it begins."""
    with pytest.raises(BadInput, match=said):
        election.checked()


def test_endless_split_votes_are_refused() -> None:
    """Equal time-outs never elect anyone; that is said, not looped on."""
    with pytest.raises(BadInput, match="split for ever"):
        RandomisedElection(2, 2, Uniform(0.5, 0.5), 0.1, 0.05).sample(np.random.default_rng(5), 10)


def test_stale_caches() -> None:
    """Half the TTL for a busy cache; less where hardly anybody asks."""
    assert stale_seconds(30.0) == 15.0
    assert stale_seconds(30.0, 1.0) == pytest.approx(900 / 62)
    assert stale_seconds(30.0, 1e9) == pytest.approx(15.0)
    assert stale_seconds(0.0) == 0.0


@pytest.mark.parametrize(
    ("down_s", "lost_s"),
    [(0.5, 0.5), (1.0, 1.0), (1.5, 1.0 + 0.5 - 0.125 / 1.0 * 1.0), (10.0, 1.5)],
)
def test_follower_crash(down_s: float, lost_s: float) -> None:
    """A restart faster than detection makes DNS irrelevant; one slower than detection + TTL loses half a TTL more."""
    assert follower_loss_s(1 / 3, down_s, 1.0, 1.0) == pytest.approx(lost_s / 3)


def test_pinned_clients_lose_what_the_others_are_spared() -> None:
    """With everybody pinned, the whole down time is lost."""
    assert follower_loss_s(1 / 3, 10.0, 1.0, 1.0, pinned=1.0) == pytest.approx(10 / 3)


def test_all_dead() -> None:
    """C(d, a) / C(n, a) over distinct addresses, (d / n)^a for independent picks, d / n at the same address."""
    assert all_dead(5, 2, 2, other_address=True) == pytest.approx(1 / 10)
    assert all_dead(3, 1, 2, other_address=True) == 0.0
    assert all_dead(3, 3, 9, other_address=True) == 1.0
    assert all_dead(5, 2, 2, other_address=False, independent=True) == pytest.approx(0.16)
    assert all_dead(5, 2, 2, other_address=False) == pytest.approx(0.4)
    with pytest.raises(BadInput):
        all_dead(3, 4, 1, other_address=True)
