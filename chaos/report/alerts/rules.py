"""From an SLO to alert rules: multi-window burn rates, and an alert for an outage as such.

    burn rate   errors use the budget so many times as fast as it may be used: share x SLO window / alert window
    threshold   burn rate x (1 - objective), of the share of failed requests, over the long *and* the short window

The short window is a twelfth of the long one: it ends the alert soon after the errors end (Beyer et al., *The Site Reliability
Workbook*, 2018, chapter 5). ``Budget.alerts`` chooses the rates that fit the window; one below 1 or above 1 / (1 - objective) is left
out, with its reason.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import yaml

from chaos.core.errors import BadInput
from chaos.core.units import show_s, show_share
from chaos.plan.plan import Plan
from chaos.predict.sample_size import ALERTS, Alert, Budget

SCRAPE_S: Final = 15.0
EVALUATION_S: Final = 15.0
USUAL_WINDOW_S: Final = 30 * 86400.0
"""The SLO window for which the usual alerts burn 14.4, 6 and 1 times as fast as they may."""
SHORT_SHARE: Final = 12.0
"""The long window is so many times the short one."""
LEAST_SCRAPES: Final = 2.0
"""A rate needs two samples in its window."""
PAGED: Final = 0.05
"""A share of the budget up to this, gone within its alert window, pages somebody; a slower loss opens a ticket."""
OUTAGE_SHARE: Final = 0.01
"""Where no objective limits an outage, one that spends this share of the budget is worth an alert."""
LIMITS: Final = ("outage", "recovery", "mttr")
OUTAGE: Final = "ServiceOutage"


class Signals(msgspec.Struct, frozen=True):
    """Two counters as PromQL selectors: failed requests, and all of them."""

    bad: str
    all: str

    @classmethod
    def of_run(cls, plan: Plan) -> Signals:
        """The counters that Nines itself serves for the primary service."""
        labels = f'experiment="{_quoted(plan.experiment.name)}",operation="{_quoted(plan.judge)}"'
        return cls(f'nines_requests_total{{{labels},result="bad"}}', f'nines_requests_total{{{labels},result=~"good|bad"}}')

    def ratio(self, window: str) -> str:
        """The share of failed requests over a window; no value where there was no request."""
        return f"sum(rate({self.bad}[{window}])) / sum(rate({self.all}[{window}]))"


class BurnAlert(msgspec.Struct, frozen=True):
    """Fires while the share of failed requests is above ``threshold`` over both windows."""

    name: str
    burn: float
    long_s: float
    short_s: float
    threshold: float
    spends: float
    severity: str


class OutageAlert(msgspec.Struct, frozen=True):
    """Fires once there was no good answer for ``after_s``, while requests were made."""

    name: str
    after_s: float
    basis: str
    severity: str = "page"


class LeftOut(msgspec.Struct, frozen=True):
    """An alert that makes no sense here, and why."""

    what: str
    reason: str


class Rules(msgspec.Struct, frozen=True):
    """What is made from one SLO."""

    service: str
    operation: str
    objective: float
    window_s: float
    signals: Signals
    scrape_s: float
    evaluation_s: float
    burns: tuple[BurnAlert, ...]
    outage: OutageAlert
    left_out: tuple[LeftOut, ...]


def make(plan: Plan, signals: Signals | None = None, scrape_s: float = SCRAPE_S, evaluation_s: float = EVALUATION_S) -> Rules:
    """``BadInput`` where the experiment has no availability objective in its ``slo``."""
    slo = plan.experiment.slo
    if slo.availability is None:
        raise BadInput(f"the experiment {plan.experiment.name} has no 'slo: {{availability: ...}}': there is nothing to alert on",
                       right="slo: {availability: 99.9%, window: 30d}")  # fmt: skip
    budget = Budget(slo.availability, slo.window_s).checked()
    left_out = [LeftOut(f"{each.burn:.4g}x over {promql(each.window_s)}", each.reason) for each in budget.alerts_left_out()]
    burns = []
    for alert in budget.alerts() or _scaled(budget):
        short_s = max(alert.window_s / SHORT_SHARE, LEAST_SCRAPES * scrape_s)
        if short_s * 2 > alert.window_s:
            why = f"its short window needs two scrapes, {show_s(short_s)}; scrape more often"
            left_out.append(LeftOut(f"{alert.burn:.4g}x over {promql(alert.window_s)}", why))
            continue
        threshold = min(alert.burn * (1.0 - slo.availability), 1.0)
        severity = "page" if alert.spends <= PAGED else "ticket"
        name = f"ErrorBudgetBurn{promql(alert.window_s).replace('ms', 'Ms')}"
        burns.append(BurnAlert(name, alert.burn, alert.window_s, short_s, threshold, alert.spends, severity))
    outage = _outage(plan, budget, scrape_s)
    return Rules(plan.experiment.name, plan.judge, slo.availability, slo.window_s, signals or Signals.of_run(plan), scrape_s, evaluation_s,
                 tuple(burns), outage, tuple(left_out))  # fmt: skip


def _scaled(budget: Budget) -> list[Alert]:
    """For an SLO window so short that none of the usual times fits: the usual burn rates, over times that shrink with the window."""
    scale = budget.window_s / USUAL_WINDOW_S
    found = [Alert(share * USUAL_WINDOW_S / within_s, within_s * scale, share) for share, within_s in ALERTS]
    return [alert for alert in found if alert.burn <= budget.fastest_burn] if scale < 1 else []


def _outage(plan: Plan, budget: Budget, scrape_s: float) -> OutageAlert:
    limits = {f"objective '{spec.measure} {spec.text}'": spec.bound.value for spec in plan.experiment.objectives
              if spec.measure in LIMITS and spec.bound is not None and spec.bound.op in ("<=", "<")}  # fmt: skip
    basis, after_s = min(limits.items(), key=lambda pair: pair[1]) if limits else (
        f"{show_share(OUTAGE_SHARE)} of the error budget", OUTAGE_SHARE * budget.downtime_s)  # fmt: skip
    least_s = LEAST_SCRAPES * scrape_s
    if after_s < least_s:
        basis, after_s = f"two scrapes; {basis} is shorter ({show_s(after_s)})", least_s
    return OutageAlert(OUTAGE, math.ceil(after_s / scrape_s - 1e-9) * scrape_s, basis)


def render(rules: Rules) -> str:
    """The rule file, as Prometheus reads it."""
    body = yaml.safe_dump({"groups": groups(rules)}, sort_keys=False, width=140, allow_unicode=True)
    head = [
        f"# Alert rules for {rules.service}, operation {rules.operation}: {show_share(rules.objective)} over {promql(rules.window_s)}.",
        "# Made by 'nines rules'; try them against recorded runs with 'nines rules FILE.yaml --try RUN'.",
        *(f"# Left out: {each.what}: {each.reason}." for each in rules.left_out),
    ]
    return "\n".join(head) + "\n" + body


def groups(rules: Rules) -> list[dict[str, object]]:
    """Recording rules for each window, and the alerts on them."""
    labels = {"slo": rules.service, "operation": rules.operation}
    windows = sorted({each for burn in rules.burns for each in (burn.long_s, burn.short_s)})
    records = [{"record": record(each), "expr": rules.signals.ratio(promql(each)), "labels": dict(labels)} for each in windows]
    # a mapping of its own for each: YAML would write a shared one as an alias
    alerts = [_outage_rule(rules, labels), *(_burn_rule(rules, burn, labels) for burn in rules.burns)]
    return [{"name": f"nines-{rules.service}-{rules.operation}", "interval": promql(rules.evaluation_s), "rules": [*records, *alerts]}]


def record(window_s: float) -> str:
    """The name of the recorded share of failed requests."""
    return f"nines:error_ratio:rate{promql(window_s)}"


def _burn_rule(rules: Rules, burn: BurnAlert, labels: dict[str, str]) -> dict[str, object]:
    selector = f'{{slo="{_quoted(rules.service)}",operation="{_quoted(rules.operation)}"}}'
    over = [f"{record(each)}{selector} > {burn.threshold:.10g}" for each in (burn.long_s, burn.short_s)]
    full_s = burn.threshold * burn.long_s
    return {
        "alert": burn.name,
        "expr": f"{over[0]} and {over[1]}",
        "labels": labels | {"severity": burn.severity},
        "annotations": {
            "summary": f"{rules.operation} uses its error budget {burn.burn:.4g} times as fast as it may",
            "description": f"Over {promql(burn.long_s)} and {promql(burn.short_s)}, more than {show_share(burn.threshold)} failed. "
            f"At this rate {show_share(burn.spends)} of the {promql(rules.window_s)} budget is gone in {promql(burn.long_s)}. "
            f"A full outage fires it after {show_s(full_s)}.",
        },
    }


def _outage_rule(rules: Rules, labels: dict[str, str]) -> dict[str, object]:
    # one scrape more than the time itself: the samples at both ends of the window must lie that far apart
    window = promql(rules.outage.after_s + rules.scrape_s)
    bad, every = (f"sum(increase({selector}[{window}]))" for selector in (rules.signals.bad, rules.signals.all))
    return {
        "alert": rules.outage.name,
        "expr": f"{bad} > 0 and {bad} >= {every}",
        "labels": labels | {"severity": rules.outage.severity},
        "annotations": {
            "summary": f"{rules.operation} has had no good answer for {show_s(rules.outage.after_s)}",
            "description": f"Every request failed for {show_s(rules.outage.after_s)} (from {rules.outage.basis}).",
        },
    }


UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def promql(seconds: float) -> str:
    """A duration as PromQL has it, in the largest unit that divides it: ``1h``, ``90s``, ``2500ms``."""
    whole_ms = round(seconds * 1000)
    unit, size = next((unit, size) for unit, size in UNITS if whole_ms % size == 0 and whole_ms >= size)
    return f"{whole_ms // size}{unit}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
