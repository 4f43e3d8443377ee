"""A plan that goes on: its faults again and again, in rounds, up to a longest time, with a look after each round.

Each round draws its times and victims anew (else every round would strike at the same moments), from the plan's own seed: the same
file and seed give the same rounds. What was seen has no influence on when anything is done, only on when it ends.
"""

from __future__ import annotations

import msgspec

from chaos.core.errors import BadInput
from chaos.core.rng import derive
from chaos.experiment.document import Experiment
from chaos.plan.faults import Planned
from chaos.plan.overlap import planned_duration_s
from chaos.plan.plan import Window
from chaos.plan.windows import planned_windows


def rounds(experiment: Experiment, faults: list[Planned], seed: int, longest_s: float) -> tuple[tuple[Window, ...], tuple[float, ...]]:
    """All windows, and the times (since t = 0) at which the run may look and stop: when each round's last fault has had its settling.

    Raises ``BadInput`` if not even one round fits into ``longest_s``, or if a fault is never taken back.
    """
    endless = next((planned for planned in faults if planned.endless), None)
    if endless is not None:
        message = f"'{endless.spec.name}' is never taken back, so there can be no further round"
        raise BadInput(message, right="recovery: restart, or a run without --until-decided")
    if not faults:
        raise BadInput("without a fault there is nothing to decide", right="faults:, or a run without --until-decided")
    found: list[Window] = []
    looks_s: list[float] = []
    done: dict[str, int] = {}
    over_s = experiment.baseline_s
    while True:
        number = len(looks_s)
        drawn = planned_windows(experiment, seed if number == 0 else derive(seed, "round", number))
        round_s = planned_duration_s(experiment, drawn) - experiment.baseline_s
        if over_s + round_s > longest_s + 1e-9:
            break
        by_s = over_s - experiment.baseline_s
        found += [_moved(window, by_s, done.get(window.fault, 0)) for window in drawn]
        for window in drawn:
            done[window.fault] = done.get(window.fault, 0) + 1
        over_s += round_s
        looks_s.append(round(over_s, 4))
    if not looks_s:
        message = f"one round takes {over_s + round_s:.0f}s, longer than the {longest_s:g}s there are"
        raise BadInput(message, right=f"--max {over_s + round_s:.0f}s or more")
    return tuple(found), tuple(looks_s)


def _moved(window: Window, by_s: float, before: int) -> Window:
    """The same window so much later; its number goes on where the rounds before it ended."""
    return msgspec.structs.replace(
        window,
        id=_renumbered(window.id, ".", before),
        start_s=round(window.start_s + by_s, 4),
        end_s=None if window.end_s is None else round(window.end_s + by_s, 4),
        entry=_renumbered(window.entry, "/", before),
        after=tuple(_renumbered(name, ".", before) for name in window.after),
        beside=_renumbered(window.beside, ".", before),
        latest_s=None if window.latest_s is None else round(window.latest_s + by_s, 4),
    )


def _renumbered(name: str, mark: str, before: int) -> str:
    head, _, number = name.rpartition(mark)
    return f"{head}{mark}{int(number) + before}" if number else ""
