"""The verbs on experiment files that start nothing: ``plan``, ``validate``, ``predict``, ``runbook``, ``init``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, put, show, show_json
from chaos.core.errors import BadInput, EnvironmentUnusable

if TYPE_CHECKING:
    from chaos.judge.power import Power
    from chaos.plan.plan import Plan

STARTER: Final = """\
# A first experiment. Check it with: nines validate {file}    See what it will do: nines plan {file}    Run it: nines run {file}
experiment: {name}
question: How long do {operation}s fail when one node dies?
cluster:
  target: {target}
  nodes: 3
  dns: {{balancer: health-checked, ttl: 1s}}
traffic:
  operations: {{{operation}: 50/s}}
  client: {{timeout: 250ms, attempts: 2, other_address: true, deadline: 600ms, resolve: ttl}}
  judge: {operation}
baseline: 5s
faults:
  - name: kill-one
    kill: {{recovery: restart}}
    target: {selector}
    every: 10s
    for: 2s
    times: 3
settle: 10s
limits: {{nodes_down: 1}}
seed: 1
slo: {{availability: 99.9%, window: 30d}}
predict:
  production: {{kill: 1 per 45d per node}}
objectives:
  availability: ">= 80%"
"""


def plan(arguments: argparse.Namespace) -> int:
    """What a run would do; nothing is started."""
    from chaos.api import order
    from chaos.evidence.promise import promises

    ordered = order(Path(arguments.file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
    _hold_against_what_runs(ordered.plan)
    foreseen, why = _foreseen(ordered.plan)
    if arguments.json:
        from msgspec import to_builtins

        told = {"power": to_builtins(foreseen), "power_reason": why, "regressions": to_builtins(promises(ordered.plan))}
        show_json(to_builtins(ordered.plan) | told)
        return 0
    from chaos.report.pages import promise
    from chaos.report.pages.plan import planned
    from chaos.report.pages.plan_power import render as decides

    show(planned(ordered.plan) + "\n" + (decides(foreseen) if foreseen is not None else f"What this plan can decide is unknown: {why}.\n"))
    told_of = promise.render(promises(ordered.plan))
    if told_of:
        show("\n" + told_of)
    return 0


def _hold_against_what_runs(plan: Plan) -> None:
    """``BadInput`` for what does not fit the containers that run now; where none runs yet nothing is known."""
    from chaos.core.errors import together
    from chaos.plan.capabilities import runtime_of
    from chaos.plan.cluster import refuse

    wrong = runtime_of(plan.runtime).contradictions(plan)
    if wrong:
        raise together([refuse(plan.experiment, *each) for each in wrong])


def _foreseen(plan: Plan) -> tuple[Power | None, str]:
    """What the plan can decide, or why that cannot be told."""
    from chaos.judge.power import power

    if not plan.windows:
        return None, "it injects no fault"
    try:
        return power(plan), ""
    except BadInput as error:
        return None, error.message


def validate(arguments: argparse.Namespace) -> int:
    """Load and plan each file; all that is wrong in each is said, with its line. Or print what files may say."""
    if bool(arguments.files) == bool(arguments.schema):
        what = "--schema and files exclude each other" if arguments.files else "no file to check"
        raise BadInput(what, right="nines validate FILE.yaml, or nines validate --schema")
    if arguments.schema:
        from chaos.experiment.document import SCHEMAS

        show_json(SCHEMAS[arguments.schema]())
        return 0
    from chaos.api import order
    from chaos.plan.objectives import cautions
    from chaos.report.format import count

    worst = 0
    for file in arguments.files:
        try:
            ordered = order(Path(file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
            _hold_against_what_runs(ordered.plan)
        except (BadInput, EnvironmentUnusable) as error:
            note(f"nines: {error}")
            worst = worst if worst == BadInput.exit_code else error.exit_code
        else:
            for caution in cautions(ordered.plan):
                note(f"nines: {file}: {caution}")
            nodes, faults = count(len(ordered.plan.nodes), "node"), count(len(ordered.plan.windows), "fault")
            show(f"{file}: valid ({nodes}, {faults}, {ordered.plan.duration_s:.0f} s)")
    return worst


def predict(arguments: argparse.Namespace) -> int:
    """What the model expects of the planned run, and of production."""
    from chaos.cli import models as cli_models

    cli_models.checked(arguments)
    if arguments.throughput is not None:
        return cli_models.scalability(arguments)
    if arguments.simulate:
        return cli_models.simulate(arguments)
    from chaos.api import order
    from chaos.predict.run import facts_from_plan
    from chaos.predict.run import predict as ask

    ordered = order(Path(arguments.file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
    if arguments.window is not None:
        ordered = cli_models.within(ordered, arguments.window)
    if arguments.sweep:
        return cli_models.sweep(arguments, ordered)
    predicted = ask(ordered.plan, facts_from_plan(ordered.plan)).predicted
    if arguments.json:
        show_json(predicted)
        return 0
    from chaos.report.pages.plan import render

    show(render(ordered.plan, predicted))
    return 0


def runbook(arguments: argparse.Namespace) -> int:
    """The game-day page, with what the model expects of each step."""
    from chaos.api import order
    from chaos.predict.run import facts_from_plan
    from chaos.predict.run import predict as ask
    from chaos.report.pages.runbook import render

    ordered = order(Path(arguments.file), runtime=arguments.runtime, seed=arguments.seed, overrides=arguments.set)
    page = render(ordered.plan, ask(ordered.plan, facts_from_plan(ordered.plan)).predicted)
    if arguments.output is not None and arguments.output.endswith((".html", ".htm")):
        from chaos.report.pages.as_html import html

        page = html(f"Game day: {ordered.experiment.name}", page)
    put(page, arguments.output)
    return 0


def init(arguments: argparse.Namespace) -> int:
    """Write a starter experiment for a target; never over a file that is there."""
    from chaos.experiment.target.load import load_target

    if arguments.compose is not None:
        from chaos.cli.tryout import first_file

        return first_file(arguments)
    path = Path(arguments.file)
    if path.exists():
        raise BadInput(f"{path} exists", right="choose another file name")
    target = load_target(arguments.target)
    writes = [name for name, operation in target.operations.items() if operation.does == "write"]
    text = STARTER.format(
        file=path, name=path.stem, target=arguments.target, operation=(writes or list(target.operations))[0],
        selector="leader" if "leader" in target.roles else "any",
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    note(f"Wrote {path}. Next: nines plan {path}, then nines run {path}")
    return 0
