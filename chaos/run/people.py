"""A run that people lead: it holds before each step until somebody lets it go, and ends when they say so or when every step is over.

What they say comes from ``people.jsonl`` (``history/people.py``), so a terminal that closes changes nothing. A step is one fault, or all of
one sequence: what follows inside it needs nobody. Nothing is held for longer than the plan lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.clock import Clock, to_ns, to_s
from chaos.history import people
from chaos.history.events import Aborting, FaultSkipped, StepHeld, StepReleased
from chaos.history.people import GameDay, Said
from chaos.plan.plan import Plan, Window
from chaos.registry import processes as proc

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.history.events import Row
    from chaos.run.injector import Injector
    from chaos.run.scheduler import Agenda

LOOK_EVERY_S: Final = 0.1
STEADY_S: Final = 5.0
"""After the last step clients are watched for so long, and at most for the plan's ``settle``."""


class People:
    """Leads the steps of one run by what people say."""

    def __init__(self, plan: Plan, folder: Path, steps: Sequence[str]) -> None:
        self.entries = entries(plan)
        self._plan = plan
        self._folder = folder
        me = proc.own_identity()
        self._state = GameDay(me.pid, me.start, me.boot, list(steps))
        self._heard = 0
        self._said: list[Said] = []
        self.begun: dict[str, float] = {}
        """Window -> when it was let go, in seconds since the first request."""

    def lead(
        self, clock: Clock, agenda: Agenda, injector: Injector, tell: Callable[[Row], None], start_ns: int, end: Callable[[], None]
    ) -> None:
        """Put the first step on the agenda. ``end`` is called once nothing is left to do."""
        self._clock, self._agenda, self._tell = clock, agenda, tell
        self._injector, self._start_ns, self._end = injector, start_ns, end
        latest_ns = agenda.end_ns - to_ns(self._plan.experiment.settle_s + STEADY_S)
        agenda.at(latest_ns, self._time_is_up)
        self._turn(0)

    def _time_is_up(self) -> None:
        """Nobody went on: what is in force is rolled back, and the run ends as far as it came."""
        if not self._state.over:
            self._say(over="the time for the game day is up", holds=False)
            self._end()

    def _turn(self, number: int) -> None:
        """The step of this number is next: held as soon as the one before is proven gone."""
        if self._must_end() or self._state.over:
            return
        if self._injector.busy:
            self._agenda.soon(LOOK_EVERY_S, partial(self._turn, number))
            return
        if number == len(self.entries):
            self._say(over="every step is over")
            self._agenda.soon(min(STEADY_S, self._plan.experiment.settle_s), self._end)
            return
        self._say(step=number + 1, holds=True)
        self._tell(StepHeld(at_ns=self._clock.now_ns(), step=number + 1, what=self._state.steps[number]))
        self._wait(number)

    def _wait(self, number: int) -> None:
        if self._must_end() or self._state.over:
            return
        order = next((said for said in self._said if said.step == number + 1 and said.what in (people.GO, people.SKIP)), None)
        if order is None:
            self._agenda.soon(LOOK_EVERY_S, partial(self._wait, number))
            return
        now_ns = self._clock.now_ns()
        skipped = order.what == people.SKIP
        self._tell(StepReleased(at_ns=now_ns, step=number + 1, by=order.who, skipped=skipped))
        self._say(holds=False, begun_ns=[*self._state.begun_ns, 0 if skipped else now_ns])
        now_s = to_s(now_ns - self._start_ns)
        for window in self.entries[number]:
            if skipped:
                reason = f"skipped by {order.who}"
                self._tell(FaultSkipped(at_ns=now_ns, id=window.id, fault=window.fault, kind=window.kind, reason=reason))
                continue
            self.begun[window.id] = now_s
            if not (window.after or window.beside):
                self._injector.begin(moved(window, now_s))
        self._agenda.soon(LOOK_EVERY_S, partial(self._turn, number + 1))

    def _must_end(self) -> bool:
        """Somebody has said that it ends: everything in force is rolled back."""
        said = people.read(self._folder)
        self._said = said
        order = next((each for each in said if each.what == people.ABORT), None)
        if order is None:
            return False
        if not self._state.over:
            self._say(over=f"aborted by {order.who}", holds=False)
            why = f" ({order.text})" if order.text else ""
            self._tell(Aborting(at_ns=self._clock.now_ns(), condition=f"aborted by {order.who}{why}"))
        return True

    def attend(self, clock: Clock, agenda: Agenda, tell: Callable[[Row], None]) -> None:
        """From the first request on: an abort is heard in the baseline, before the first step, as well."""
        self._clock, self._agenda, self._tell = clock, agenda, tell
        self.listen()

    def listen(self) -> None:
        """Between the steps' own looks: an abort is heard while a fault is in force, too."""
        if not self._must_end():
            self._agenda.soon(LOOK_EVERY_S, self.listen)

    def _say(self, **changes: object) -> None:
        self._state = msgspec.structs.replace(self._state, **changes)
        people.write_state(self._folder, self._state)


def led(plan: Plan, most_s: float) -> Plan:
    """The plan of a game day that may last so long: traffic goes on while people talk. ``as_led`` cuts it to what was done."""
    return msgspec.structs.replace(plan, duration_s=plan.duration_s + most_s)


def entries(plan: Plan) -> list[list[Window]]:
    """The steps: what begins alone, with all that follows it in its sequence, in the order of the plan."""
    found: dict[str, list[Window]] = {}
    for window in sorted(plan.windows, key=lambda each: each.start_s):
        found.setdefault(window.entry or window.id, []).append(window)
    return list(found.values())


def moved(window: Window, start_s: float) -> Window:
    """The same, at another time."""
    by_s = start_s - window.start_s
    return msgspec.structs.replace(
        window,
        start_s=start_s,
        end_s=None if window.end_s is None else window.end_s + by_s,
        latest_s=None if window.latest_s is None else window.latest_s + by_s,
    )


def as_led(plan: Plan, begun: dict[str, float], end_s: float) -> Plan:
    """The plan as it was carried out: each step at its real time, without those that nobody let go."""
    windows = tuple(moved(window, begun[window.id]) for window in plan.windows if window.id in begun)
    return msgspec.structs.replace(plan, windows=tuple(sorted(windows, key=lambda each: each.start_s)), duration_s=end_s)
