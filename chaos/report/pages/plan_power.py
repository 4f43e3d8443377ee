"""What a plan can decide, as text for a terminal: the second half of ``nines plan``. Computes nothing."""

from __future__ import annotations

from typing import Final

from chaos.judge.power import BudgetSaid, Power
from chaos.judge.power_agreement import AgreementPower
from chaos.predict.sample_size import Alert, AlertLeftOut
from chaos.report import format as say

WORTH: Final = 1e-3
"""Of the budget: what takes less is not worth a word."""


def render(power: Power) -> str:
    """Objectives, agreement, budget, and what cannot be decided."""
    head = f"{say.count(power.faults, 'fault')} in {say.seconds(power.duration_s)}. If outages are as the model predicts them:"
    blocks = [head, _objectives(power), _agreement(power.agreement), _budget(power.budget)]
    blocks += ["\n".join(f"Warning: {text}" for text in power.warnings)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _chance(value: float | None) -> str:
    return say.DASH if value is None else f"{value:.0%}"


def _objectives(power: Power) -> str:
    rows = []
    for each in power.objectives:
        open_ = None if each.passes is None or each.fails is None else max(0.0, 1.0 - each.passes - each.fails)
        needed = str(each.faults_needed) if each.faults_needed is not None else ""
        rows.append([each.name, each.want, each.basis, _chance(each.passes), _chance(each.fails), _chance(open_), needed])
    if not rows:
        return ""
    head = ["objective", "want", "basis", "met", "missed", "undecided", "faults that decide"]
    return say.table(rows, head, right=(3, 4, 5, 6))


def _agreement(agreed: AgreementPower | None) -> str:
    if agreed is None:
        return ""
    detects = ", ".join(f"{chance:.0%} if they last {scale} times as long" for scale, chance in agreed.detects.items())
    needed = f" ({say.count(agreed.faults_needed, 'fault')} for 80%)" if agreed.faults_needed is not None else ""
    shown = f"Agreement within a factor {agreed.margin:g}: shown with a chance of {agreed.consistent:.0%}{needed}"
    return f"{shown}; power: a model that is off is detected with {detects}." if detects else f"{shown}."


def _budget(budget: BudgetSaid | None) -> str:
    if budget is None:
        return ""
    promise = f"{say.percent(budget.availability)} over {say.seconds(budget.window_s)} allow {say.seconds(budget.downtime_s)} of downtime"
    taken = [f"{what} take {say.seconds(spent_s)}" for what, spent_s in
             (("the parts around the cluster", budget.around_s), ("overlapping faults", budget.overlaps_s))
             if spent_s > WORTH * budget.downtime_s]  # fmt: skip
    faults = ", ".join(f"{count:.0f} of {name}" for name, count in budget.faults.items())
    if budget.left_s <= 0:
        lines = [f"{promise}; {say.joined(taken)}: more than all of it, whatever the cluster does."]
    else:
        kept = f"; {say.joined(taken)} of it" if taken else ""
        lines = [promise + kept + (f": {faults}, as predicted." if faults else ".")]
    if budget.mttr_limit_s is not None:
        lines.append(f"At the assumed production rates a mean outage may last {say.seconds(budget.mttr_limit_s)} at most.")
    lines.append(f"Suggested burn-rate alerts: {'; '.join(map(_alert, budget.alerts)) or 'none of the usual three'}.")
    lines += [f"Left out: {_alert(each)}: {each.reason}." for each in budget.alerts_left_out]
    return "\n".join(lines)


def _alert(each: Alert | AlertLeftOut) -> str:
    return f"{each.burn:.4g}× over {say.seconds(each.window_s)} ({each.spends:.0%} of the error budget)"
