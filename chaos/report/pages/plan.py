"""What will be done, and what the model expects of it, as tables for a terminal: ``nines plan``, ``nines predict``. Computes nothing."""

from __future__ import annotations

from chaos.core.escaping import terminal
from chaos.plan.build import describe
from chaos.plan.objectives import cautions
from chaos.plan.plan import Plan
from chaos.report import format as say
from chaos.report import story as tell
from chaos.report.model_tables import levers, parameters
from chaos.report.table import Columns, Row, make, right, text
from chaos.report.tables import expected
from chaos.results.predicted import Predicted, Production


def planned(plan: Plan) -> str:
    """The plan as a table, and what it will take."""
    experiment = plan.experiment
    head = [
        f"{experiment.name}: {experiment.question}",
        f"{say.count(len(plan.nodes), 'node')} of {experiment.cluster.target} on the runtime '{plan.runtime}', "
        f"{experiment.cluster.dns.balancer} DNS, seed {plan.seed}",
        f"{say.seconds(plan.duration_s)} of traffic: "
        + ", ".join(f"{name} {operation.rate_text}" for name, operation in experiment.traffic.operations.items())
        + f"; baseline {say.seconds(experiment.baseline_s)}; primary service {plan.judge}",
    ]
    head += cautions(plan)
    networks = experiment.cluster.networks
    if len(networks) > 1:
        head.append(f"networks: {', '.join(networks)}; clients use '{networks[0]}', nodes among themselves '{networks[-1]}'")
    rows: list[Row] = [[row.id, row.begins, row.ends, row.kind, row.target, row.remarks] for row in describe(plan)]
    faults = make("", ["fault", right("from (s)"), right("to (s)"), "kind", "target", "details"], rows)
    table = text(faults) or "No faults."
    return (
        "\n".join(map(terminal, head))
        + f"\n\n{table}\n\n{_said_of_times(plan)}Roles are resolved at the moment of injection. Nothing was started.\n"
    )


def _said_of_times(plan: Plan) -> str:
    """What the marks at times mean, where there are any."""
    said = ""
    if any(window.after or window.beside for window in plan.windows):
        said += "Times marked '~' are estimates: the fault begins when an earlier one has ended. "
    if any(window.latest_s is not None for window in plan.windows):
        said += "'A to B': the fault begins when its condition holds, at A at the earliest and B at the latest. "
    return said


def render(plan: Plan, predicted: Predicted) -> str:
    """A run like the planned one, then production."""
    return "\n\n".join([_run(plan, predicted), _classes(predicted), _production(predicted), *_advice(predicted), _inputs(predicted)]) + "\n"


def _run(plan: Plan, predicted: Predicted) -> str:
    rows: list[Row] = [
        [name, expected(row.availability, say.percent), expected(row.mttr_s, say.seconds), expected(row.mttf_s, say.seconds),
         expected(row.mtbf_s, say.seconds)]
        for name, row in predicted.services.items()
    ]  # fmt: skip
    faults = say.count(len(plan.windows), "fault")
    title = f"A run of {plan.experiment.name} like the planned one ({faults}) should show, in 95 of 100 cases:"
    return text(make(title, ["service", "availability", "MTTR", "MTTF", "MTBF"], rows))


def _classes(predicted: Predicted) -> str:
    rows: list[Row] = []
    for service, each in predicted.services.items():
        for name, row in each.by_fault.items():
            phases = ", ".join(f"{phase} {say.seconds(value)}" for phase, value in row.phases.items() if value)
            rows.append([service, name, expected(row.share, say.percent), expected(row.recovery_s, say.seconds), phases])
    columns: Columns = ["service", "fault class", "noticed by clients", "recovery", "of which, on average"]
    return text(make("By fault class:", columns, rows, after=_lost(predicted)))


def _lost(predicted: Predicted) -> list[str]:
    """Acknowledged writes that die with an asynchronous primary."""
    lines = []
    for service, each in predicted.services.items():
        for name, row in each.by_fault.items():
            lost = row.lost_writes
            if lost is None:
                continue
            around = say.span(lost.low, lost.high, say.number)
            figure = (
                f"about {say.number(lost.value)}" + (f" ({around})" if around else "") if lost.value is not None else around or say.DASH
            )
            reason = f"; {lost.reason}" if lost.reason else ""
            lines.append(f"Acknowledged {service}s lost by each {name} fault: {figure}{reason}.")
    return lines


def _advice(predicted: Predicted) -> list[str]:
    return [f"Biggest lever: {say.parameter(line)}." for line in predicted.advice]


def _production(predicted: Predicted) -> str:
    production = predicted.production
    if production.nines is None:
        return f"Production: {production.reason or 'unknown, since the experiment assumes no fault rates (predict: production:)'}"
    rates = "; ".join(production.rates)
    lines = [f"Production, at the assumed rates ({rates}): availability {say.percent(production.availability)}, "
             f"{production.nines:.2f} nines, {tell.monthly(production)} of downtime per month."]  # fmt: skip
    lines += _window(production) + _parts(production)
    lines.append(text(levers(production)))
    lines += [f"Not advised: {say.parameter(text)}." for text in production.not_advised]
    return "\n".join(line for line in lines if line)


def _parts(production: Production) -> list[str]:
    """Where the downtime comes from, the parts around the cluster, and what planned restarts cost beside it."""
    rows: list[Row] = [[each.name, say.percent(each.unavailability), each.origin, f"{each.birnbaum:.6g}",
                        say.seconds(each.saves_s_per_year)]
            for each in production.around]  # fmt: skip
    columns: Columns = [
        "around the cluster",
        right("unavailability"),
        "source",
        right("importance (Birnbaum)"),
        right("never failing saves a year"),
    ]
    return [*tell.causes(production), text(make("", columns, rows))]


def _window(production: Production) -> list[str]:
    """What windows of production show."""
    window = production.window
    if window is None:
        return []
    met = "" if window.met is None else f"; {say.percent(window.met)} of windows reach {say.percent(window.objective)}"
    lines = []
    if window.outages > 0:
        each_s = (1 - window.mean_availability - window.evenly) * window.window_s / window.outages
        often = say.seconds(window.window_s / window.outages)
        lines.append(f"Clients notice an outage every {often} on average; it lasts {say.seconds(each_s)} on average.")
    if window.evenly > 0:
        lines.append(
            f"Every window loses {say.percent(window.evenly)} to parts around the cluster of which only the availability is known. "
            "How often they fail and for how long would tell more: {fails: 1 per 90d, for: 30s}."
        )
    return [*lines, f"In a window of {say.seconds(window.window_s)}: {say.number(window.outages)} outages on average, none with "
            f"probability {say.percent(window.no_outage)}. One window in 20 is below {say.percent(window.worst_of_20)}{met}."]  # fmt: skip


def _inputs(predicted: Predicted) -> str:
    table = text(parameters(predicted))
    assumed = "\n".join(f"  - {text}" for text in predicted.assumptions)
    return f"Inputs of the model:\n{table}\n\nAssumptions:\n{assumed}{_own(predicted.own_share)}"


def _own(share: float | None) -> str:
    """How much of the predicted downtime the experiment brings itself."""
    if share is None:
        return ""
    part = say.percent(share)
    return f"\n{'None' if part == '0 %' else part} of the predicted downtime stems from the configured fault duration ('for')."
