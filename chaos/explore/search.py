"""The search: draw schedules and run them until an objective breaks or the time is over; make sure; shrink; save.

Every trial is one line of ``trials.jsonl`` in the search's folder, written as it ends, so that a search that is killed has lost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from chaos.core.files import write_atomically
from chaos.explore.ahead import Drawn, Source
from chaos.explore.schedule import Schedule
from chaos.explore.shrink import shrink
from chaos.explore.sure import Rates, Seen, repeat, scaled, upper_share
from chaos.explore.trial import Tried

FOUND: Final = "found.yaml"
TRIALS: Final = "trials.jsonl"
RESULT: Final = "explore.json"
LEAST_SHARE: Final = 0.25
"""A schedule that fails more seldom cannot be shrunk in a sensible time: the search notes it and goes on."""
CONFIRMED: Final = 8
"""Runs that tell how often a found schedule fails."""

Phase = Literal["search", "confirm", "shrink"]


class Trial(msgspec.Struct, frozen=True):
    """One line of ``trials.jsonl``."""

    phase: Phase
    number: int
    seed: int
    schedule: Schedule
    tried: Tried
    took_s: float


class Explored(msgspec.Struct, frozen=True):
    """What a search came to; ``explore.json``."""

    experiment: str
    runtime: str
    seed: int
    schedules: int
    """Drawn and run; of these ``nothing`` told nothing."""
    nothing: int
    took_s: float
    found: Schedule | None = None
    found_seen: Seen | None = None
    least: Schedule | None = None
    least_seen: Seen | None = None
    complete: bool = True
    """The shrinking came to its end before the time did."""
    broke: tuple[str, ...] = ()
    said: str = ""
    saved: str = ""
    seldom: list[Schedule] = []
    """Schedules that failed once, and too seldom after that to be shrunk."""
    why_nothing: str = ""
    """Why the first run that told nothing did so."""

    @property
    def held(self) -> int:
        """Schedules whose run held."""
        return self.schedules - self.nothing - (self.found is not None) - len(self.seldom)

    @property
    def upper(self) -> float | None:
        """With nothing found: fewer than this share of such schedules fail, with 95 % confidence."""
        return None if self.found is not None or self.seldom or not self.held else upper_share(self.held)


class Search(msgspec.Struct):
    """One search. ``drawn``: schedules as they were drawn and run; ``now_s``: a clock; ``told``: shown each trial."""

    source: Source
    drawn: Iterator[Drawn]
    folder: Path
    budget_s: float
    most_schedules: int
    now_s: Callable[[], float]
    told: Callable[[Trial], None]
    repeated: int = 0
    failing_seeds: dict[Schedule, int] = {}
    """Of a run that failed: the saved experiment draws what that one drew."""
    schedules: int = 0
    nothing: int = 0
    why_nothing: str = ""
    seldom: list[Schedule] = []

    def explore(self) -> Explored:
        """Until something is found and shrunk, or the time or the number of schedules is over."""
        began_s = self.now_s()
        explored = self._explored(began_s)
        write_atomically(self.folder / RESULT, msgspec.json.encode(explored))
        return explored

    def _explored(self, began_s: float) -> Explored:
        bench = self.source.bench
        result = Explored(bench.base.name, bench.runtime, self.source.seed, 0, 0, 0.0)
        over_s = began_s + self.budget_s
        for drawn in self._failing(over_s):
            schedule, broke = drawn.schedule, drawn.tried.broke
            seen = self._how_often(schedule, broke)
            if seen.failed / seen.runs < LEAST_SHARE:
                self.seldom.append(schedule)
                continue
            rates = scaled(seen)
            least, complete = self._shrunk(schedule, broke, rates, over_s + self.budget_s)
            least_seen = seen if least == schedule else self._sure(least, broke, rates, "shrink")
            result = msgspec.structs.replace(
                result, found=schedule, found_seen=seen, least=least, least_seen=least_seen, complete=complete, broke=broke,
                said=drawn.tried.said, saved=str(self._save(least, broke)),
            )  # fmt: skip
            break
        return msgspec.structs.replace(
            result, schedules=self.schedules, nothing=self.nothing, took_s=self.now_s() - began_s, seldom=self.seldom,
            why_nothing=self.why_nothing,
        )  # fmt: skip

    # --- the parts -----------------------------------------------------------------------------------------------------

    def _failing(self, over_s: float) -> Iterator[Drawn]:
        """Drawn schedules whose run failed."""
        while self.now_s() < over_s and self.schedules < self.most_schedules:
            began_s = self.now_s()
            drawn = next(self.drawn)
            self.schedules += 1
            self._note(Trial("search", drawn.number, drawn.seed, drawn.schedule, drawn.tried, self.now_s() - began_s))
            if drawn.tried.told == "nothing":
                self.nothing += 1
                self.why_nothing = self.why_nothing or drawn.tried.said
            if drawn.tried.told == "fails":
                yield drawn

    def _run(self, phase: Phase, number: int, schedule: Schedule) -> Tried:
        began_s = self.now_s()
        self.repeated += 1
        seed = self.source.seed_of(phase, number, str(schedule))
        tried = self.source.bench.tried(schedule, seed, self.folder / "trials" / f"{phase}-{self.repeated:05}")
        if tried.told == "fails":
            self.failing_seeds[schedule] = seed
        self._note(Trial(phase, number, seed, schedule, tried, self.now_s() - began_s))
        return tried

    def _note(self, trial: Trial) -> None:
        with (self.folder / TRIALS).open("ab") as file:
            file.write(msgspec.json.encode(trial) + b"\n")
        self.told(trial)

    def _how_often(self, schedule: Schedule, broke: tuple[str, ...]) -> Seen:
        """The first failure does not count: the schedule was chosen for it."""
        failed = 0
        for runs in range(1, CONFIRMED + 1):
            failed += self._fails("confirm", schedule, broke, runs)
            if failed >= 3 and failed == runs:
                break  # three of three: often enough
        return Seen(failed, runs, failed / runs >= LEAST_SHARE)

    def _fails(self, phase: Phase, schedule: Schedule, broke: tuple[str, ...], number: int) -> bool:
        """Whether one more run of it breaks the same objective: another failure would be another bug."""
        tried = self._run(phase, number, schedule)
        return tried.told == "fails" and not set(broke).isdisjoint(tried.broke)

    def _sure(self, schedule: Schedule, broke: tuple[str, ...], rates: Rates, phase: Phase) -> Seen:
        return repeat(lambda number: self._fails(phase, schedule, broke, number), rates)

    def _shrunk(self, schedule: Schedule, broke: tuple[str, ...], rates: Rates, over_s: float) -> tuple[Schedule, bool]:
        """The least schedule, and whether the time was enough to come to the end."""
        complete = True

        def fails(candidate: Schedule) -> bool:
            nonlocal complete
            if self.now_s() >= over_s:
                complete = False
                return False
            return self._plans(candidate) and self._sure(candidate, broke, rates, "shrink").fails

        return shrink(schedule, fails), complete

    def _plans(self, schedule: Schedule) -> bool:
        from chaos.core.errors import BadInput, CapabilityMissing

        try:
            self.source.bench.planned(schedule, self.source.seed)
        except (BadInput, CapabilityMissing):
            return False
        return True

    def _save(self, schedule: Schedule, broke: tuple[str, ...]) -> Path:
        path = self.folder / FOUND
        text = self.source.bench.document.found(schedule, self.failing_seeds.get(schedule, self.source.seed), broke, self.folder)
        write_atomically(path, text.encode())
        return path
