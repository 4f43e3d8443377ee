"""Alert rules tried against a recorded run by ``promtool test rules``: does each alert fire, how soon, and is it silent otherwise?

The run's own counters, sampled as a scraper would, are embedded in good traffic of the same rate. promtool evaluates the rules on them
with Prometheus' own engine; asked to expect silence at each evaluation, it names every one at which an alert fires. What must be so comes
from the single requests (``truth.py``), not from the counters.
"""

from __future__ import annotations

import bisect
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import yaml

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.units import duration_s
from chaos.history.folder import RunFolder
from chaos.measure import timeline
from chaos.measure.timeline import ServiceTimeline
from chaos.plan.plan import Plan
from chaos.report.alerts.rules import BurnAlert, OutageAlert, Rules, groups, make, promql, render
from chaos.report.alerts.truth import Expected, Truth
from chaos.report.metrics.series import scrapes
from chaos.results.observed import Outage

PROMTOOL: Final = "promtool"
HOW: Final = "apt install prometheus (Debian, Ubuntu), brew install prometheus (macOS), or put promtool on PATH"
WITHIN_S: Final = 900.0
"""promtool is given so long for one run."""
TAIL_EVALUATIONS: Final = 40
"""How long a run is watched after its end: an alert must go silent again."""
MOST_EVALUATIONS: Final = 200_000
SPARSE: Final = 1000
"""Good traffic before the run has about so many samples a window: more would change nothing but the time it takes."""
_FIRED: Final = re.compile(r"alertname: (\S+), time: (\S+),")


class Episode(msgspec.Struct, frozen=True):
    """One stretch in which an alert had to fire. Seconds since the run's first request."""

    alert: str
    outage: Outage | None
    """The one that brought it above its threshold: the last that had begun by then."""
    fired_s: float | None
    promised_s: float
    """When it had to fire at the latest."""

    @property
    def ok(self) -> bool:
        """It fired in time."""
        return self.fired_s is not None and self.fired_s <= self.promised_s


class Trial(msgspec.Struct, frozen=True):
    """What came of one run."""

    run: str
    outages: tuple[Outage, ...]
    episodes: tuple[Episode, ...]
    false_alerts: tuple[tuple[str, float], ...]
    """(alert, time) of evaluations at which one fired and the requests do not justify it."""
    allowed: tuple[tuple[str, float], ...]
    """(alert, time) at which one began to fire where it might, and had not to: at the edge of its threshold."""

    @property
    def ok(self) -> bool:
        """Each alert did as it must."""
        return not self.false_alerts and all(episode.ok for episode in self.episodes)


def try_rules(rules_of: Plan, folders: Sequence[RunFolder], scrape_s: float, evaluation_s: float, tests: Path | None = None) -> list[Trial]:
    """Try the rules of an experiment against its recorded runs; ``tests``: a folder for test files that promtool accepts, a run each.

    ``EnvironmentUnusable`` without promtool; ``BadInput`` for a run of another experiment or operation.
    """
    if shutil.which(PROMTOOL) is None:
        raise EnvironmentUnusable("promtool is not installed: it tries alert rules with Prometheus' own engine", how=HOW)
    rules = make(rules_of, scrape_s=scrape_s, evaluation_s=evaluation_s)
    return [_try(rules, rules_of, folder, tests) for folder in folders]


def _try(rules: Rules, plan: Plan, folder: RunFolder, tests: Path | None) -> Trial:
    own = folder.read_plan()
    if own.judge not in own.experiment.traffic.operations or (own.experiment.name, own.judge) != (plan.experiment.name, plan.judge):
        raise BadInput(f"{folder.path} is a run of '{own.experiment.name}', operation {own.judge}",
                       right=f"runs of '{plan.experiment.name}', operation {plan.judge}")  # fmt: skip
    service = timeline.build(own, folder.rows(), folder.read_observations()).services[own.judge]
    episodes: list[Episode] = []
    false_alerts: list[tuple[str, float]] = []
    allowed: list[tuple[str, float]] = []
    for part in _parts(rules):
        found = _try_part(part, own, folder, service, tests)
        episodes += found.episodes
        false_alerts += found.false_alerts
        allowed += found.allowed
    return Trial(folder.path.name, service.outages, tuple(episodes), tuple(false_alerts), tuple(allowed))


def _parts(rules: Rules) -> list[Part]:
    """Alert by alert: each needs good traffic before the run for as long as its own window, and promtool evaluates all that it is given."""
    alone = msgspec.structs.replace(rules, burns=())
    return [Part(rules.outage, alone), *(Part(burn, msgspec.structs.replace(rules, burns=(burn,))) for burn in rules.burns)]


class Part(msgspec.Struct, frozen=True):
    """One alert, and rules that have little but it."""

    alert: BurnAlert | OutageAlert
    rules: Rules

    @property
    def window_s(self) -> float:
        """How far back it looks."""
        return self.alert.long_s if isinstance(self.alert, BurnAlert) else self.alert.after_s + self.rules.scrape_s


class Laid(msgspec.Struct, frozen=True):
    """A run between good traffic: whole scrapes, in seconds."""

    before_s: float
    run_s: float
    after_s: float
    gap_s: float
    """Samples of the good traffic before are so far apart."""


def _try_part(part: Part, own: Plan, folder: RunFolder, service: ServiceTimeline, tests: Path | None) -> Trial:
    rules, every_s = part.rules, part.rules.scrape_s
    gap_s = max(round(part.window_s / SPARSE / every_s), 1) * every_s
    laid = Laid(
        before_s=math.ceil(part.window_s / gap_s + 2) * gap_s,
        run_s=math.ceil(service.end_s / every_s) * every_s,
        after_s=math.ceil(TAIL_EVALUATIONS * rules.evaluation_s / every_s) * every_s,
        gap_s=gap_s,
    )
    if (laid.before_s + laid.run_s + laid.after_s) / rules.evaluation_s > MOST_EVALUATIONS:
        raise BadInput(f"{promql(laid.before_s)} before the run, evaluated each {promql(rules.evaluation_s)}, are too many for promtool",
                       right="--scrape and --evaluate of 15s or more, or an SLO with a shorter window")  # fmt: skip
    first = math.floor(laid.before_s / rules.evaluation_s) + 1
    last = math.floor((laid.before_s + laid.run_s + laid.after_s) / rules.evaluation_s)
    at_s = np.arange(first, last, dtype=np.float64) * rules.evaluation_s - laid.before_s
    truth = Truth(service.slots, own.experiment.traffic.client.deadline_s, rules, laid.before_s, laid.run_s + laid.after_s, gap_s)
    expected = truth.burn(part.alert, at_s) if isinstance(part.alert, BurnAlert) else truth.outage(part.alert, at_s)
    series = _series(rules, own, folder, laid)
    silent = _test_file(rules, series, [(part.alert.name, float(each), False) for each in at_s], laid)
    fired = _fired(_promtool(rules, silent), laid).get(part.alert.name, [])
    if tests is not None:
        _keep(part, series, tests / f"{folder.path.name}-{part.alert.name}", fired, float(at_s[-1]), laid)
    return _compared(part.alert, folder, service, expected, fired)


# --- what promtool is given ----------------------------------------------------------------------------------------------


def _series(rules: Rules, plan: Plan, folder: RunFolder, laid: Laid) -> list[dict[str, str]]:
    """Good and bad requests at each scrape, in promtool's notation: sparse ones before (``0 _x9 500 _x9``), single values, ``+`` after."""
    counts = {at_s: progress.requests.get(plan.judge) for at_s, progress in scrapes(folder.rows(), rules.scrape_s)}
    step = max(round(plan.experiment.traffic.operations[plan.judge].rate_per_s * rules.scrape_s), 1)
    times, values = sorted(counts), []
    for number in range(round(laid.run_s / rules.scrape_s) + 1):
        # once the run has ended its counters stay; what follows is good traffic again
        at_s = times[min(bisect.bisect_right(times, number * rules.scrape_s + 1e-6), len(times)) - 1] if times else 0.0
        seen = counts.get(at_s)
        values.append((0, 0) if seen is None else (seen.good, seen.bad))
    before, after = round(laid.before_s / rules.scrape_s), round(laid.after_s / rules.scrape_s)
    gap = round(laid.gap_s / rules.scrape_s)
    missing = f" _x{gap - 1}" if gap > 1 else ""
    begins = range(0, before, gap)
    good, bad = [before * step + value for value, _ in values], [value for _, value in values]
    labels = f'experiment="{plan.experiment.name}",operation="{plan.judge}"'
    return [
        {"series": f'nines_requests_total{{{labels},result="good"}}',
         "values": f"{' '.join(f'{each * step}{missing}' for each in begins)} {' '.join(map(str, good))} "
                   f"{good[-1] + step}+{step}x{after - 1}"},
        {"series": f'nines_requests_total{{{labels},result="bad"}}',
         "values": f"{' '.join(f'0{missing}' for _ in begins)} {' '.join(map(str, bad))} {bad[-1]}x{after - 1}"},
    ]  # fmt: skip


def _test_file(rules: Rules, series: list[dict[str, str]], asked: Sequence[tuple[str, float, bool]], laid: Laid) -> str:
    """``asked``: alert, time, whether it fires then."""
    written = {each["alert"]: each for group in groups(rules) for each in group["rules"] if "alert" in each}  # type: ignore[attr-defined]
    tests = []
    for name, at_s, fires in asked:
        expected = {"exp_labels": dict(written[name]["labels"]), "exp_annotations": dict(written[name]["annotations"])}
        tests.append({"eval_time": promql(at_s + laid.before_s), "alertname": name, "exp_alerts": [expected] if fires else []})
    return yaml.dump(
        {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": promql(rules.evaluation_s),
            "tests": [{"interval": promql(rules.scrape_s), "input_series": series, "alert_rule_test": tests}],
        },
        Dumper=yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper, sort_keys=False, width=10_000_000,
    )  # fmt: skip


def _promtool(rules: Rules, tests: str) -> str:
    """Its output; every line of it that is no answer is an error of ours."""
    with tempfile.TemporaryDirectory(prefix="nines-rules-") as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(render(rules), encoding="utf-8")
        (folder / "test.yaml").write_text(tests, encoding="utf-8")
        try:
            done = subprocess.run(
                [PROMTOOL, "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False, timeout=WITHIN_S
            )
        except subprocess.TimeoutExpired:
            raise EnvironmentUnusable(f"promtool did not end within {WITHIN_S:g} s", how="a longer --scrape and --evaluate") from None
    said = done.stdout + done.stderr
    if done.returncode not in (0, 1) or (done.returncode == 1 and not _FIRED.search(said)):
        raise EnvironmentUnusable(f"promtool could not try the rules: {said.strip()[-2000:]}", how="promtool check rules on the rule file")
    return said


def _fired(said: str, laid: Laid) -> dict[str, list[float]]:
    """Alert -> the evaluations at which it fires, in order."""
    found: dict[str, list[float]] = {}
    for name, at in _FIRED.findall(said):
        found.setdefault(name, []).append(_duration_s(at) - laid.before_s)
    return {name: sorted(times) for name, times in found.items()}


def _duration_s(text: str) -> float:
    """Prometheus' own form: ``1h2m3s``."""
    return sum(duration_s(part) for part in re.findall(r"[0-9.]+[a-z]+", text))


def _keep(part: Part, series: list[dict[str, str]], where: Path, fired: list[float], last_s: float, laid: Laid) -> None:
    """Rules and a test of them that passes: the alert fires where it did, and is silent at the evaluation before."""
    name, every_s = part.alert.name, part.rules.evaluation_s
    known = {round(time * 1000) for time in fired}
    begins = [time for time in fired if round((time - every_s) * 1000) not in known]
    asked = [(name, time, fires) for begin in begins for time, fires in ((begin - every_s, False), (begin, True))]
    text = _test_file(part.rules, series, [*asked, (name, last_s, round(last_s * 1000) in known)], laid)
    said = _promtool(part.rules, text)
    assert "FAILED" not in said, said
    where.mkdir(parents=True, exist_ok=True)
    (where / "rules.yaml").write_text(render(part.rules), encoding="utf-8")
    (where / "test.yaml").write_text(text, encoding="utf-8")


# --- what it said, held against what must be -------------------------------------------------------------------------------


def _compared(alert: BurnAlert | OutageAlert, folder: RunFolder, service: ServiceTimeline, want: Expected, fired: list[float]) -> Trial:
    episodes: list[Episode] = []
    is_firing = np.isin(np.rint(want.at_s * 1000), np.rint(np.array(fired) * 1000))
    false_alerts = [(alert.name, float(each)) for each in want.at_s[is_firing & ~want.may]]
    explained = np.zeros(len(want.at_s), dtype=np.bool_)
    for first, last in _stretches(want.must):
        begin = first
        while begin > 0 and want.may[begin - 1]:  # it may fire earlier than it must
            begin -= 1
        explained[begin : last + 1] = True
        hits = want.at_s[begin : last + 1][is_firing[begin : last + 1]]
        promised_s = float(want.at_s[first])
        began = [outage for outage in service.outages if outage.start_s <= promised_s]
        fired_s = float(hits[0]) if len(hits) else None
        episodes.append(Episode(alert.name, began[-1] if began else None, fired_s, promised_s))
    allowed = [(alert.name, float(want.at_s[first])) for first, _ in _stretches(is_firing & want.may & ~want.must & ~explained)
               if first == 0 or not is_firing[first - 1]]  # fmt: skip
    return Trial(folder.path.name, service.outages, tuple(episodes), tuple(false_alerts), tuple(allowed))


def _stretches(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[tuple[int, int]]:
    """First and last index of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    yield from ((int(first), int(after) - 1) for first, after in zip(edges[::2], edges[1::2], strict=True))
