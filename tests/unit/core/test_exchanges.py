"""Clocks that run apart, mapped by exchanges: in virtual time, and once with a real clock that runs too fast."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time

import pytest

from chaos.core.clock import NS_PER_S
from chaos.core.exchanges import Exchanges, Offset
from chaos.runtimes.base import faketime
from tests.support.needs import need_libfaketime


class Apart:
    """Two clocks: theirs was set apart by ``set_s`` at 0, and runs faster by ``ppm``; a way between them takes 0.05 to 0.25 ms."""

    def __init__(self, set_s: float, ppm: float) -> None:
        self._rng = random.Random(f"{set_s}/{ppm}")
        self._set_s, self._ppm = set_s, ppm
        self.exchanges = Exchanges()

    def there_ns(self, here_s: float) -> int:
        return round((here_s * (1 + self._ppm * 1e-6) + self._set_s) * NS_PER_S)

    def exchange(self, at_s: float) -> None:
        there_s = at_s + self._rng.uniform(0.05e-3, 0.25e-3)
        back_s = there_s + self._rng.uniform(0.05e-3, 0.25e-3)
        self.exchanges.note(round(at_s * NS_PER_S), self.there_ns(there_s), round(back_s * NS_PER_S))

    def error_s(self, at_s: float) -> float:
        return abs(self.exchanges.here_ns(self.there_ns(at_s)) / NS_PER_S - at_s)


@pytest.mark.parametrize("ppm", [-400.0, -10.0, 0.0, 10.0, 400.0])
@pytest.mark.parametrize("set_s", [-3e5, 0.0, 7.3])
def test_an_hour_of_drift_stays_within_the_bound(set_s: float, ppm: float) -> None:
    """One exchange a second: what happens half a second after the last one is placed within the bound, which stays below a millisecond."""
    clocks = Apart(set_s, ppm)
    for second in range(3600):
        clocks.exchange(float(second))
        if second % 60 == 59:
            error_s = clocks.error_s(second + 0.5)
            assert error_s <= clocks.exchanges.offset(round((second + 0.5) * NS_PER_S)).bound_ns / NS_PER_S + 1e-8
    assert 0 < clocks.exchanges.worst_ns < 1e6


def test_without_widening_the_same_exchanges_contradict_each_other() -> None:
    """What was done before: an intersection over the whole run, which at 10 ppm is empty after half a minute."""
    clocks, low, high, empty_s = Apart(0.0, 10.0), -math.inf, math.inf, math.inf
    for second in range(60):
        clocks.exchange(float(second))
        newest = clocks.exchanges._kept[-1]
        low, high = max(low, newest.there_ns - newest.received_ns), min(high, newest.there_ns - newest.sent_ns)
        empty_s = min(empty_s, second if low > high else math.inf)
    assert empty_s < 60
    assert clocks.exchanges.offset(60 * NS_PER_S).bound_ns < 1e6


def test_the_bound_grows_while_nobody_answers() -> None:
    clocks = Apart(1.0, 100.0)
    clocks.exchange(0.0)
    bounds = [clocks.exchanges.offset(second * NS_PER_S).bound_ns for second in (0, 10, 20)]
    assert bounds[1] - bounds[0] == pytest.approx(10 * NS_PER_S * 500e-6, rel=1e-3)
    assert bounds[2] - bounds[1] == pytest.approx(10 * NS_PER_S * 500e-6, rel=1e-3)
    assert clocks.error_s(20.0) < bounds[2] / NS_PER_S


def test_before_the_first_exchange_nothing_is_known() -> None:
    clocks = Exchanges()
    assert clocks.offset(0) == Offset(-math.inf, math.inf)
    assert clocks.here_ns(5) == 5
    assert math.isinf(clocks.worst_ns)


def test_a_clock_that_is_set_is_noticed_and_believed_again_after_a_minute() -> None:
    before, after = Apart(0.0, 0.0), Apart(5.0, 0.0)
    after.exchanges = before.exchanges
    for second in range(10):
        before.exchange(float(second))
    after.exchange(10.0)
    assert math.isinf(after.exchanges.offset(10 * NS_PER_S).bound_ns)
    assert after.error_s(10.0) < 1e-3, "the newest exchange is the best guess"
    for second in range(11, 75):
        after.exchange(float(second))
    assert after.exchanges.offset(75 * NS_PER_S).bound_ns < 1e6


def test_there_and_back() -> None:
    clocks = Apart(-4.0, 50.0)
    for second in range(5):
        clocks.exchange(float(second))
    there_ns = clocks.there_ns(4.5)
    assert abs(clocks.exchanges.there_ns(clocks.exchanges.here_ns(there_ns)) - there_ns) < 1000


# --- a real one --------------------------------------------------------------------------------------------------------

ANSWERS = "import sys, time\nfor line in sys.stdin: print(time.monotonic_ns(), flush=True)"
PPM = 400


def test_a_real_clock_that_runs_too_fast() -> None:
    """A process under libfaketime, 400 ppm fast: exchanges for two seconds; each later answer is placed between its question and its end.

    Without widening, those exchanges contradict each other.
    """
    need_libfaketime()
    found = faketime.find()
    assert found is not None
    environ = os.environ | {"LD_PRELOAD": str(found), "FAKETIME": f"+0 x{1 + PPM * 1e-6:.4f}", "FAKETIME_NO_CACHE": "1"}
    environ.pop("FAKETIME_DONT_FAKE_MONOTONIC", None)
    with subprocess.Popen([sys.executable, "-S", "-c", ANSWERS], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def ask() -> tuple[int, int, int]:
            sent_ns = time.monotonic_ns()
            other.stdin.write(b"\n")  # type: ignore[union-attr]
            other.stdin.flush()  # type: ignore[union-attr]
            return sent_ns, int(other.stdout.readline()), time.monotonic_ns()  # type: ignore[union-attr]

        clocks, low, high = Exchanges(), -math.inf, math.inf
        until_ns = time.monotonic_ns() + 2 * NS_PER_S
        while time.monotonic_ns() < until_ns:
            told = ask()
            clocks.note(*told)
            low, high = max(low, told[1] - told[2]), min(high, told[1] - told[0])
        for _ in range(20):
            sent_ns, there_ns, received_ns = ask()
            bound_ns = clocks.offset(received_ns).bound_ns
            assert not math.isinf(bound_ns)
            assert sent_ns - bound_ns <= clocks.here_ns(there_ns) <= received_ns + bound_ns
        other.stdin.close()
    assert low > high, "the clock did not run too fast, so nothing is shown"
