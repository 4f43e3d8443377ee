"""What a plan can decide, as text for a terminal: the second half of ``nines plan``. Computes nothing."""

from __future__ import annotations

from typing import Final

from chaos.judge.power import BudgetSaid, Power
from chaos.judge.power_agreement import AgreementPower
from chaos.predict.sample_size import Alert, AlertLeftOut
from chaos.report import format as say
from chaos.report.table import Columns, Row, make, right, text

WORTH: Final = 1e-3
"""Of the budget: what takes less is not worth a word."""


def render(power: Power) -> str:
    """Objectives, agreement, budget, and what cannot be decided."""
    head = f"What {say.count(power.faults, 'fault')} in {say.seconds(power.duration_s)} can decide, if outages are as the model predicts:"
    blocks = [head, _objectives(power), _agreement(power.agreement), _budget(power.budget)]
    blocks += ["\n".join(f"Warning: {text}" for text in power.warnings)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _objectives(power: Power) -> str:
    rows: list[Row] = []
    for each in power.objectives:
        open_ = None if each.passes is None or each.fails is None else max(0.0, 1.0 - each.passes - each.fails)
        needed = str(each.faults_needed) if each.faults_needed is not None else ""
        rows.append([each.name, each.want, each.basis, *map(say.chance_percent, (each.passes, each.fails, open_)), needed])
    columns: Columns = ["objective", "wanted", "basis", right("met"), right("missed"), right("undecided"), right("faults that decide")]
    return text(make("", columns, rows))


def _agreement(agreed: AgreementPower | None) -> str:
    if agreed is None:
        return ""
    needed = f" ({say.count(agreed.faults_needed, 'fault')} for 80 %)" if agreed.faults_needed is not None else ""
    lines = [
        f"Agreement within a factor of {agreed.margin:g}: a correct prediction is confirmed "
        f"with probability {say.chance_percent(agreed.consistent)}{needed}."
    ]
    for scale, chance in agreed.detects.items():
        lines.append(f"Power: a model off by {scale}× is detected with probability {say.chance_percent(chance)}.")
    return "\n".join(lines)


def _budget(budget: BudgetSaid | None) -> str:
    if budget is None:
        return ""
    promise = (
        f"Error budget: {say.percent(budget.availability)} over {say.seconds(budget.window_s)} "
        f"allows {say.seconds(budget.downtime_s)} of downtime"
    )
    taken = [f"{what} take {say.seconds(spent_s)}" for what, spent_s in
             (("the parts around the cluster", budget.around_s), ("overlapping faults", budget.overlaps_s))
             if spent_s > WORTH * budget.downtime_s]  # fmt: skip
    faults = ", ".join(f"{count:.0f} {name} faults" for name, count in budget.faults.items())
    if budget.left_s <= 0:
        lines = [f"{promise}; {say.joined(taken)}, which is more than the whole budget."]
    else:
        kept = f"; {say.joined(taken)} of it" if taken else ""
        lines = [promise + kept + (f", enough for {faults} as predicted." if faults else ".")]
    if budget.mttr_limit_s is not None:
        lines.append(f"At the assumed production rates this allows an MTTR of at most {say.seconds(budget.mttr_limit_s)}.")
    lines.append(f"Suggested burn-rate alerts: {'; '.join(map(_alert, budget.alerts)) or 'none of the usual three fits'}.")
    lines += [f"Not suggested: {_alert(each)}: {each.reason}." for each in budget.alerts_left_out]
    return "\n".join(lines)


def _alert(each: Alert | AlertLeftOut) -> str:
    return f"{each.burn:.4g}× over {say.seconds(each.window_s)} ({say.percent(each.spends)} of the error budget)"
