"""The faults of a run as records, and which outage is whose.

**Attribution by time.** What a fault can explain begins when it was asked for (the harm is done between asking and the proof of
its effect) and ends when the next fault is asked for or when the cluster has been seen settled after it, whichever is first. A
planned overlap does not end it: an outage then belongs to all faults in force. An outage is a fault's if its begin can lie in that
time: its first bad slot had not ended before, and the slot before it was not due after. What no fault explains has come by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from chaos.history.events import FaultAsked, FaultEffective, FaultFailed, FaultGone, FaultHealed, FaultSkipped, Row, Settled
from chaos.plan.plan import Plan, Traits, Window
from chaos.plan.traits import traits
from chaos.results.observed import Outage

BACKGROUND = "background"
"""The class of outages that no fault explains."""

Figures = dict[str, float | str | None]


class FaultRecord(msgspec.Struct, frozen=True):
    """One injection as it happened; times in seconds since t = 0, None where it never came to that."""

    id: str
    name: str
    kind: str
    fault_class: str
    """Kind and role at injection, ``kill/leader``; the kind alone if its victims were never resolved."""
    target: tuple[str, ...]
    status: str
    """healed, skipped, failed, leftover."""
    reason: str
    planned: bool = True
    overlap: bool = False
    entry: str = ""
    """Of a step: the occasion of the sequence or of the parallel faults that it belongs to."""
    asked_s: float | None = None
    effective_s: float | None = None
    healed_s: float | None = None
    gone_s: float | None = None
    settled_s: float | None = None
    """When the cluster was first seen whole after it."""
    explains_until_s: float = 0.0
    """What begins later is not its doing."""
    mechanism: str = ""
    before: Figures = {}
    during: Figures = {}
    after: Figures = {}

    traits: Traits = Traits()
    """What it is, by its own class's word."""
    not_back: str = ""
    """Which nodes did not come back although all of the fault was taken back: the system's own failure."""

    @property
    def took_effect(self) -> bool:
        """Seen from outside, whatever became of it."""
        return self.effective_s is not None

    @property
    def began_s(self) -> float | None:
        """From when on its harm may be felt: it is done between asking and the proof of its effect."""
        return self.asked_s if self.asked_s is not None else self.effective_s

    @property
    def role(self) -> str:
        """The second half of the class."""
        return self.fault_class.partition("/")[2]


class Trial(msgspec.Struct, frozen=True):
    """One independent try at harming: an effective fault, or a planned overlap of several, which is a class of its own."""

    fault_class: str
    faults: tuple[FaultRecord, ...]

    def outages(self, by_fault: Mapping[str, Sequence[Outage]]) -> list[Outage]:
        """Those of any of its faults, each once, in order of time."""
        found = {outage.id: outage for fault in self.faults for outage in by_fault.get(fault.id, ())}
        return sorted(found.values(), key=lambda outage: outage.start_s)

    @property
    def effective_s(self) -> float:
        """When the first of them took effect."""
        return min(fault.effective_s for fault in self.faults if fault.effective_s is not None)


class _Draft(msgspec.Struct):
    """What the rows say of one fault so far."""

    asked: FaultAsked | None = None
    effective: FaultEffective | None = None
    healed: FaultHealed | None = None
    gone: FaultGone | None = None
    skipped: FaultSkipped | None = None
    failed: FaultFailed | None = None


def read_faults(plan: Plan, rows: Sequence[Row], to_s: Callable[[int], float], end_s: float) -> tuple[FaultRecord, ...]:
    """All planned faults in the order of the plan, then what was injected beside it."""
    drafts: dict[str, _Draft] = {}
    for row in rows:
        _note(drafts, row)
    settled = sorted(to_s(row.at_ns) for row in rows if isinstance(row, Settled))
    windows = {window.id: window for window in plan.windows}
    names = [*windows, *(name for name in drafts if name not in windows)]
    records = [_record(plan, windows.get(name), name, drafts.get(name, _Draft()), to_s, settled) for name in names]
    in_time = sorted(records, key=_order)
    bounded = {record.id: _bounded(record, in_time[place + 1 :], end_s) for place, record in enumerate(in_time)}
    return tuple(bounded[record.id] for record in records)


def _note(drafts: dict[str, _Draft], row: Row) -> None:
    match row:
        case FaultAsked():
            drafts.setdefault(row.id, _Draft()).asked = row
        case FaultEffective():
            drafts.setdefault(row.id, _Draft()).effective = row
        case FaultHealed():
            drafts.setdefault(row.id, _Draft()).healed = row
        case FaultGone():
            drafts.setdefault(row.id, _Draft()).gone = row
        case FaultSkipped():
            drafts.setdefault(row.id, _Draft()).skipped = row
        case FaultFailed():
            drafts.setdefault(row.id, _Draft()).failed = row
        case _:
            pass


def _record(plan: Plan, window: Window | None, name: str, draft: _Draft, to_s: Callable[[int], float], settled: list[float]) -> FaultRecord:
    asked, effective, healed, gone = draft.asked, draft.effective, draft.healed, draft.gone
    fault = window.fault if window else asked.fault if asked else draft.skipped.fault if draft.skipped else name
    kind = window.kind if window else asked.kind if asked else draft.skipped.kind if draft.skipped else "unknown"
    status, reason = _status(draft)
    over_s = to_s(healed.at_ns) if healed else to_s(gone.at_ns) if gone else None
    return FaultRecord(
        id=name,
        name=fault,
        kind=kind,
        fault_class=asked.fault_class if asked else kind,
        target=tuple(asked.target) if asked else (),
        status=status,
        reason=reason,
        planned=window is not None,
        entry=window.entry if window else "",
        overlap=any(spec.overlap for spec in plan.experiment.faults if spec.name == fault),
        traits=next((traits(plan, spec) for spec in plan.experiment.faults if spec.name == fault), Traits()),
        asked_s=to_s(asked.at_ns) if asked else None,
        effective_s=to_s(effective.at_ns) if effective else None,
        healed_s=to_s(healed.at_ns) if healed else None,
        gone_s=to_s(gone.at_ns) if gone else None,
        settled_s=next((at_s for at_s in settled if over_s is not None and at_s >= over_s), None),
        mechanism=effective.mechanism if effective else "",
        before=effective.before if effective else {},
        during=effective.during if effective else {},
        after=gone.after if gone else {},
        not_back=gone.not_back if gone else "",
    )


def _status(draft: _Draft) -> tuple[str, str]:
    """The last word on a fault. What was begun and never proven gone is a leftover, whatever the reason."""
    if draft.gone is not None:
        return "healed", draft.gone.not_back
    if draft.failed is not None:
        return ("leftover" if draft.failed.left_over else "failed"), draft.failed.reason
    if draft.skipped is not None:
        return "skipped", draft.skipped.reason
    if draft.healed is not None:
        return "leftover", "taken back, but the run ended before it was proven gone"
    if draft.effective is not None:
        return "leftover", "the run ended before it was taken back"
    if draft.asked is not None:
        return "leftover", "the run ended while it was being injected"
    return "skipped", "the run ended before its time"


def _bounded(record: FaultRecord, later: Sequence[FaultRecord], end_s: float) -> FaultRecord:
    """Until when it can explain an outage: the next fault's asking (unless their overlap was planned), or its own settling."""
    began_s = record.began_s
    if began_s is None:
        return record
    until = [end_s, record.settled_s if record.settled_s is not None else end_s]
    ends_it = (other for other in later if other.took_effect and not (together(record, other) and (record.overlap or other.overlap)))
    following = next(ends_it, None)
    if following is not None and following.began_s is not None:
        until.append(following.began_s)
    return msgspec.structs.replace(record, explains_until_s=max(min(until), began_s))


def together(one: FaultRecord, other: FaultRecord) -> bool:
    """Whether the later one took effect before the earlier one was over. Over means that the cluster was seen settled; for a planned
    overlap, which does not wait for that, that it was taken back. Steps of one entry are together unless it had settled between them:
    what the second one meets is what the first one left."""
    if one.effective_s is None or other.effective_s is None:
        return False
    first, second_s = (one, other.effective_s) if one.effective_s <= other.effective_s else (other, one.effective_s)
    over_s = first.settled_s
    if (one.overlap or other.overlap) and not (one.entry and one.entry == other.entry):
        over_s = first.healed_s if first.healed_s is not None else first.gone_s
    return over_s is None or second_s < over_s


def blame(faults: Sequence[FaultRecord], last_good_s: float | None, first_bad_s: float, first_bad_done_s: float) -> list[str]:
    """The ids of the faults that an outage belongs to: those whose time contains its begin."""
    after_s = last_good_s if last_good_s is not None else first_bad_s
    able = [
        fault
        for fault in faults
        if fault.took_effect and fault.began_s is not None and fault.began_s <= first_bad_done_s and fault.explains_until_s > after_s
    ]
    if len(able) < 2:
        return [fault.id for fault in able]
    latest = max(able, key=_order)
    return [fault.id for fault in able if fault is latest or (together(fault, latest) and (fault.overlap or latest.overlap))]


def _order(fault: FaultRecord) -> float:
    return fault.began_s if fault.began_s is not None else float("inf")


def trials(faults: Sequence[FaultRecord]) -> tuple[Trial, ...]:
    """The effective faults as independent tries; those that were planned to overlap, and did, are one."""
    groups: list[list[FaultRecord]] = []
    for fault in sorted((fault for fault in faults if fault.took_effect), key=_order):
        home = next(
            (group for group in groups if any((fault.overlap or other.overlap) and together(other, fault) for other in group)), None
        )
        if home is None:
            groups.append([fault])
        else:
            home.append(fault)
    return tuple(Trial(" + ".join(sorted(fault.fault_class for fault in group)), tuple(group)) for group in groups)
