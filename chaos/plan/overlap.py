"""Windows held against each other: overlaps that nobody planned, faults that contradict each other, limits, the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from chaos.experiment.document import Experiment
from chaos.experiment.schedules import OnFault
from chaos.experiment.selectors import Same
from chaos.plan.cluster import refuse
from chaos.plan.faults import Planned
from chaos.plan.plan import Window
from chaos.plan.windows import entry_path, over_s

MOST_S: Final = 30 * 86400.0
"""A longer run is a slip of the pen."""


def check_windows(experiment: Experiment, faults: list[Planned], windows: tuple[Window, ...], nodes: int) -> None:
    """Raise ``BadInput`` at the later of two windows that cannot both be meant.

    Times in messages count from the end of the baseline, as ``at`` does.
    """
    by_name = {planned.spec.name: planned for planned in faults}
    _check_same_order(experiment, faults, windows)
    for earlier, later in _overlapping(windows):
        first, second = by_name[earlier.fault], by_name[later.fault]
        at_s = later.start_s - experiment.baseline_s
        path = f"{entry_path(second.spec)}.{'at' if second.spec.times is None else 'every'}"
        if earlier.entry and earlier.entry == later.entry:
            _check_contradiction(experiment, first, second, at_s)
            continue
        if earlier.end_s is not None and (earlier.latest_s is not None or later.latest_s is not None):
            _check_waiting(experiment, first, second, at_s)
            continue  # it begins at a time of its own choosing, after settling or beside others by its own word
        if first is second:
            _check_contradiction(experiment, first, second, at_s)
        # One that is taken back is never met by its own next time; one that stays to the end of the run always is.
        if (first is not second or earlier.end_s is None) and not _may_overlap(second):
            message = f"at {at_s:g}s '{later.fault}' would begin while '{earlier.fault}' is {_lasting(experiment, earlier)}"
            raise refuse(experiment, path, message, "another time, or 'overlap: true' if that is the question")
        _check_contradiction(experiment, first, second, at_s)
    _check_total(experiment, by_name, windows, nodes)


def _check_waiting(experiment: Experiment, first: Planned, second: Planned, at_s: float) -> None:
    """One of them waits for a condition, so that their planned times say little; but some things are sure."""
    for one, other in ((first, second), (second, first)):
        on = other.spec.when.on if other.spec.when else None
        if isinstance(on, OnFault) and (on.fault, on.state) == (one.spec.name, "effective"):
            _check_contradiction(experiment, one, other, at_s)
    if second.endless and first.spec.when is not None and not _may_overlap(first):
        message = f"'{first.spec.name}' may begin while '{second.spec.name}' is in force (to the end: 'recovery: none')"
        raise refuse(experiment, f"{entry_path(first.spec)}.when", message, "'overlap: true' if that is the question")


def _may_overlap(planned: Planned) -> bool:
    """By the word of the file: the later steps of an entry overlap by themselves, but only each other."""
    return planned.spec.overlap if planned.spec.step is None else planned.spec.step.overlap


def _overlapping(windows: tuple[Window, ...]) -> Iterator[tuple[Window, Window]]:
    """Pairs in which the second begins while the first is in force; windows are in order of start."""
    active: list[Window] = []
    for window in windows:
        active = [other for other in active if _end_s(other) > window.start_s]
        yield from ((other, window) for other in active)
        active.append(window)


def _end_s(window: Window) -> float:
    return math.inf if window.end_s is None else over_s(window)


def _lasting(experiment: Experiment, window: Window) -> str:
    begin_s = window.start_s - experiment.baseline_s
    if window.end_s is None:
        return f"in force (from {begin_s:g}s to the end: 'recovery: none')"
    return f"in force ({begin_s:g}s to {window.end_s - experiment.baseline_s:g}s)"


def _check_contradiction(experiment: Experiment, first: Planned, second: Planned, at_s: float) -> None:
    if not first.halts:
        return
    hit = first.certain() & second.certain()
    if isinstance(second.spec.target, Same) and second.spec.target.fault == first.spec.name:
        who = "the same node"
    elif hit:
        who = ", ".join(sorted(hit))
    else:
        return
    by = "itself" if first is second else f"'{first.spec.name}'"
    message = f"at {at_s:g}s '{second.spec.name}' would hit {who}, which is down by {by} already"
    raise refuse(experiment, f"{second.path}.target", message, "another node, or another time")


def _check_same_order(experiment: Experiment, faults: list[Planned], windows: tuple[Window, ...]) -> None:
    first_s: dict[str, float] = {}
    order = {planned.spec.name: planned.index for planned in faults}
    for window in windows:
        first_s.setdefault(window.fault, window.start_s)
    for planned in faults:
        other = planned.spec.target.fault if isinstance(planned.spec.target, Same) else None
        name = planned.spec.name
        on = planned.spec.when.on if planned.spec.when else None
        if isinstance(on, OnFault) and on.fault == other:
            continue  # it waits for that one
        mine_s, its_s = first_s.get(name, math.inf), first_s.get(other or "", math.inf)
        if other is not None and (mine_s < its_s or (mine_s == its_s and planned.index < order[other])):
            message = f"the selector matches nothing: '{name}' comes before '{other}', which has not picked anyone then"
            raise refuse(experiment, f"{planned.path}.target", message, "a later time")


def _check_total(experiment: Experiment, by_name: dict[str, Planned], windows: tuple[Window, ...], nodes: int) -> None:
    limit = experiment.limits.nodes_down
    if limit is None:
        return
    active: list[Window] = []
    for window in windows:
        spec = by_name[window.fault].spec
        if spec.when is not None and not (isinstance(spec.when.on, OnFault) and spec.when.on.state == "effective"):
            continue  # nobody knows now what is in force when its condition comes: the run looks then
        active = [other for other in active if _end_s(other) > window.start_s] + [window]
        down = min(nodes, sum(by_name[other.fault].takes_down(nodes) for other in active))
        if down > limit:
            planned = by_name[window.fault]
            at_s = window.start_s - experiment.baseline_s
            message = f"at {at_s:g}s up to {down} nodes would be down, and limits.nodes_down is {limit}"
            raise refuse(experiment, planned.path, message, "other times, or a higher limit")


def planned_duration_s(experiment: Experiment, windows: tuple[Window, ...]) -> float:
    """From the first slot to the last: the end of the last window and its settling, or longer if the experiment says so."""
    longest_s = max(experiment.duration_s or 0.0, *(over_s(window) for window in windows), experiment.baseline_s) + experiment.settle_s
    if longest_s > MOST_S:
        key = "duration" if experiment.duration_s else "baseline" if experiment.baseline_s > MOST_S else "settle"
        raise refuse(experiment, key, f"this run would last {longest_s / 86400.0:,.0f} days", f"at most {MOST_S / 86400.0:.0f} days")
    needed_s = max((over_s(window) for window in windows), default=experiment.baseline_s) + experiment.settle_s
    if experiment.duration_s is None:
        return round(needed_s, 4)
    if experiment.duration_s < needed_s:
        late = max(windows, key=over_s, default=None)
        what = f"the fault '{late.fault}' ends and settles" if late else "baseline and settling end"
        message = f"a duration of {experiment.duration_s:g}s is over before {what}, at {needed_s:g}s"
        raise refuse(experiment, "duration", message, f"at least {math.ceil(needed_s)}s, or leave it out")
    return experiment.duration_s
