"""Published reference cases: the benchmark set of the Quantitative Verification Competition, and Trivedi's example 10.27.

The models are rebuilt here from their published rules, not taken over; the values are the exact rational results that the set holds.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from chaos.predict.markov.explore import explore
from chaos.predict.markov.measures import first_failure_s, long_run
from tests.reference import sparse
from tests.reference.intervals import f_interval

# --- the workstation cluster (Haverkort, Hermanns & Katoen 2000) -------------------------------------------------------

Cluster = tuple[tuple[bool | int, ...], int]
"""(left workstations, right workstations, left switch, right switch, backbone), and which of them is under repair: -1 for none."""
FAILS = (1 / 500, 1 / 500, 1 / 4000, 1 / 4000, 1 / 5000)
REPAIRS = (2.0, 2.0, 0.25, 0.25, 0.125)
INSPECTION = 10.0

EXACT = {
    2: Fraction(
        3293310518142048166950593493474891806840039009231142979097598370570396301711154145688188943349902285108307514459229470855663177558811365162418796102780805731205605298144090737818282913305201954783526100286112264674488411390812568477830150233190364232967468679719019435403103023212366160108020829365639101164670895220626620429606265844187702336245206542973622266813232771580915228064278100191996625000000000000000,
        3293437204938903832610338345690930186384264344182391122714100120150126313186628430031386941286540089246813638301253709664807070665864845882488728595128800011509372866007756697041992723753883662394389072611248838963345225086545962858033556322918252396295252530015086338413713729326376733717790395419322981062006787484997596455858930565277578090992387507059183536107802390829191487860911227695176915316222997333773,
    ),
}  # fmt: skip
"""Workstations a side -> long-run probability of premium service."""


def cluster_moves(size: int):
    """One repair unit for everything; it inspects first, then repairs."""
    whole = (size, size, 1, 1, 1)

    def moves(state: Cluster):
        parts, busy = state
        for place, fails in enumerate(FAILS):
            if parts[place]:
                yield (tuple(part - (index == place) for index, part in enumerate(parts)), busy), parts[place] * fails
            if busy < 0 and parts[place] < whole[place]:
                yield (parts, place), INSPECTION
        if busy >= 0:
            yield (tuple(part + (index == busy) for index, part in enumerate(parts)), -1), REPAIRS[busy]

    return (whole, -1), moves


def premium(size: int):
    """All workstations of one side behind its switch, or as many over both sides behind everything."""

    def holds(state: Cluster) -> bool:
        left, right, switch, other, line = state[0]
        return bool((left >= size and switch) or (right >= size and other) or (left + right >= size and switch and other and line))

    return holds


@pytest.mark.parametrize(("size", "states", "transitions"), [(2, 276, 1120), (4, 820, 3616)])
def test_workstation_cluster_has_the_published_size(size: int, states: int, transitions: int) -> None:
    """As many states and transitions as the set says: the model is the same one."""
    start, moves = cluster_moves(size)
    found = explore(start, moves)
    assert (len(found.states), len(found.values)) == (states, transitions)


def test_workstation_cluster_is_exact() -> None:
    """The unavailability of premium service within 1e-9, relatively: dense and sparse."""
    start, moves = cluster_moves(2)
    found = explore(start, moves)
    wanted = float(1 - EXACT[2])
    assert long_run(found.solvable(premium(2))).unavailability == pytest.approx(wanted, rel=1e-12)
    assert sparse.long_run(found.sparse(), found.where(premium(2))).unavailability == pytest.approx(wanted, rel=1e-9)


def test_larger_workstation_cluster() -> None:
    """Four workstations a side: 0.9999212408513793 is what the set gives."""
    start, moves = cluster_moves(4)
    assert long_run(explore(start, moves).solvable(premium(4))).unavailability == pytest.approx(1 - 0.9999212408513793, rel=1e-11)


def test_ten_thousand_states_have_the_same_measures() -> None:
    """Sixteen a side are 10,132 states: sparse measures agree with each other as they must."""
    start, moves = cluster_moves(16)
    found = explore(start, moves)
    assert len(found.states) == 10_132
    up = found.where(premium(16))
    seen = sparse.long_run(found.sparse(), up)
    assert seen.cycle_s == pytest.approx(seen.mean_up_s + seen.mean_down_s, rel=1e-9)
    assert seen.unavailability == pytest.approx(seen.mean_down_s / seen.cycle_s, rel=1e-9)


def test_sparse_and_dense_measures_agree() -> None:
    """Time to the first failure of the small cluster, by two ways."""
    start, moves = cluster_moves(2)
    found = explore(start, moves)
    dense = first_failure_s(found.solvable(premium(2)))
    assert sparse.first_failure_s(found.sparse(), found.where(premium(2))) == pytest.approx(dense, rel=1e-9)


# --- the embedded control system (Muppala, Ciardo & Trivedi 1994) ------------------------------------------------------

HOUR = 3600.0
DAY, YEAR, MONTH = 24 * HOUR, 365 * 24 * HOUR, 30 * 24 * HOUR
SKIPS = 2
"""Cycles that may be skipped in a row."""


def embedded_moves(state: tuple[int, ...]):
    """Sensors, input processor, actuators, output processor, main processor, skipped cycles, and the bus's three flags."""
    sensors, inner, actuators, outer, main, skipped, done, asked, told = state
    if sensors > 1:
        yield (sensors - 1, *state[1:]), sensors / MONTH
    if actuators > 0:
        yield (*state[:2], actuators - 1, *state[3:]), actuators / (2 * MONTH)
    if main:
        yield (*state[:4], 0, *state[5:]), 1 / YEAR
    if sensors >= 2:
        yield from embedded_processor(inner, lambda value: (sensors, value, *state[2:]))
    if actuators >= 1:
        yield from embedded_processor(outer, lambda value: (*state[:3], value, *state[4:]))
    works = outer == 2 and actuators >= 1
    feeds = inner == 2 and sensors >= 2
    if inner == 1 and sensors >= 2:
        flags = (int(done or (main and not told)), 1, int(not works and (told or main)))
        yield (sensors, 2, *state[2:6], *flags), 1 / 30
    if outer == 1 and actuators >= 1:
        flags = (int(done or (asked and main)), int(feeds or (asked and not main)), 0)
        yield (*state[:3], 2, *state[4:6], *flags), 1 / 30
    count = 0 if done else min(skipped + 1, SKIPS + 1)
    flags = (int(asked and not told and main), int(feeds or (asked and (told or not main))), int(not works and (told or (asked and main))))
    yield (*state[:5], count, *flags), 1 / 60


def embedded_processor(value: int, changed):
    """An input or output processor: it fails for good, or has a transient fault."""
    if value > 0:
        yield changed(0), 1 / YEAR
    if value == 2:
        yield changed(1), 1 / DAY


def embedded_down(state: tuple[int, ...]) -> bool:
    """Too few sensors or actuators, too many skipped cycles, or no main processor."""
    sensors, inner, actuators, outer, main, skipped = state[:6]
    return (inner == 2 and sensors < 2) or skipped == SKIPS + 1 or (outer == 2 and actuators < 1) or not main


@pytest.fixture(scope="module")
def embedded():
    """Explored once, with the time before its first failure."""
    found = explore((3, 2, 2, 2, 1, 0, 1, 1, 0), embedded_moves)
    up = found.where(lambda state: not embedded_down(state))
    return found, up, sparse.before_failure_s(found.sparse(), up), sparse.first_failure_shares(found.sparse(), up)


def test_embedded_system_has_the_published_size(embedded) -> None:
    """3478 states."""
    assert len(embedded[0].states) == 3478


def test_embedded_times_before_failure(embedded) -> None:
    """Mean time before the first failure without (423.84 h) and with (0.2932 h) a transient fault in force, to all published digits."""
    found, up, spent_s, _ = embedded
    danger = up & found.where(lambda state: state[1] == 1 or state[3] == 1)
    assert spent_s[up & ~danger].sum() / HOUR == pytest.approx(423.8443172811176, rel=1e-9)
    assert spent_s[danger].sum() / HOUR == pytest.approx(0.2931856862419295, rel=1e-9)
    assert sparse.first_failure_s(found.sparse(), up) == pytest.approx(spent_s.sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("cause", "share"),
    [(lambda s: s[1] == 2 and s[0] < 2, 0.6213837036832706), (lambda s: s[3] == 2 and s[2] < 1, 0.08767819037331588),
     (lambda s: s[5] == SKIPS + 1, 0.24252058277362362), (lambda s: not s[4], 0.048417523169789894)],
    ids=["sensors", "actuators", "io", "main"],
)  # fmt: skip
def test_embedded_causes_of_the_first_failure(embedded, cause, share: float) -> None:
    """What the first failure was: the four published probabilities."""
    found, _, _, shares = embedded
    assert shares.sum() == pytest.approx(1.0, rel=1e-9)
    assert shares[found.where(cause)].sum() == pytest.approx(share, rel=1e-9)


# --- Trivedi, example 10.27 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cycles", "up_h", "down_h", "low", "high"), [(1, 999.0, 1.0, 0.9624, 1.0), (10, 9990.0, 10.0, 0.9975, 0.9996)])
def test_trivedi_10_27(cycles: int, up_h: float, down_h: float, low: float, high: float) -> None:
    """The F interval of an availability of 0.999 from one cycle and from ten, to the digits printed."""
    found = f_interval(cycles, up_h, down_h)
    assert found[0] == pytest.approx(low, abs=5e-5)
    assert found[1] == pytest.approx(high, abs=5e-5)


def test_f_interval_covers() -> None:
    """Exponential cycles: it holds the truth in 95 % of samples."""
    rng = np.random.default_rng(1)
    truth, hits = 1000.0 / 1010.0, 0
    for _ in range(2000):
        low, high = f_interval(8, float(rng.exponential(1000.0, 8).sum()), float(rng.exponential(10.0, 8).sum()))
        hits += low <= truth <= high
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)
