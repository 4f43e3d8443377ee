"""From a judgement to the report that every face shows, and onto disk: ``report.json`` with its JSON Schema beside it, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core import plugins as tables
from chaos.core.errors import HistoryUnreadable
from chaos.core.files import write_atomically
from chaos.core.version import versions
from chaos.history.folder import RunFolder, plain
from chaos.judge import verdicts
from chaos.plan.describe import PlanRow, describe
from chaos.plan.system_version import with_images
from chaos.results.report import Achieved, Asked, FaultObserved, NodeSeen, Report

if TYPE_CHECKING:
    from chaos.history.events import Row
    from chaos.judge.judge import Judgement
    from chaos.measure.faults import FaultRecord
    from chaos.plan.plan import Plan

SCHEMA: Final = 1
SCHEMA_FILE: Final = "report.schema.json"
HTML_FILE: Final = "report.html"

JUDGED_CODES: Final = {"pass": 0, "fail": 1, "unknown": 3}
"""The exit codes of a run that came to its end; only these are ever turned round by ``expect_verdict``."""


def from_folder(folder: RunFolder, more: Sequence[Row] = ()) -> Report:
    """Judge a run folder now; ``more``: rows that its disk did not take."""
    from chaos.judge.judge import judge

    return build(judge(folder, more), folder)


def read_or_judge(folder: RunFolder) -> Report:
    """The report as it was written, or made now if the run was never judged."""
    if not folder.report.exists():
        return from_folder(folder)
    try:
        return msgspec.json.decode(plain(folder.report).read_bytes(), type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryUnreadable(f"{folder.report}: {error} ('nines judge {folder.path}' makes it anew)") from error


def build(judged: Judgement, folder: RunFolder) -> Report:
    """The report of a judgement."""
    plan, seen = judged.plan, judged.timeline
    planned = {row.id: row for row in describe(plan)}
    slo = plan.experiment.slo
    return Report(
        schema=SCHEMA,
        experiment=plan.experiment.name,
        question=plan.experiment.question,
        run=folder.path.absolute().name if seen.run is None else seen.run.run,
        folder=str(folder.path),
        seed=plan.seed,
        runtime=plan.runtime,
        target=plan.experiment.cluster.target,
        versions=versions() | ({} if seen.run is None else seen.run.versions),
        nodes=[
            NodeSeen(node.node, node.part, node.zone, node.client_address or node.address, node.networks, node.container)
            for node in {each.node: each for each in seen.nodes}.values()  # of one that has moved: where it was at last
        ],
        started_at="" if seen.run is None else seen.run.started_at,
        started_monotonic_ns=seen.start_ns,
        duration_s=seen.end_s,
        clock_bound_s=seen.clock_bound_s,
        verdict=judged.verdict,
        exit_code=judged.exit_code,
        reasons=judged.reasons,
        checks=judged.checks,
        objectives=judged.objectives,
        observed=judged.observed,
        predicted=judged.predicted,
        agreement_overall=judged.agreement_overall,
        agreement=judged.agreement,
        faults=[_fault(record, judged, planned.get(record.id)) for record in seen.faults],
        timeline=list(seen.lanes),
        configuration=plan.configuration,
        expect_verdict=plan.experiment.expect_verdict,
        slo={"availability": slo.availability, "window_s": slo.window_s, "latency_s": slo.latency_s},
        judged=plan.judge,
        extrapolated=judged.extrapolated,
        longest_s=judged.longest_s,
        looks=judged.looks,
        log=judged.log,
        series=judged.series,
        bad_requests=judged.bad_requests,
        demand=judged.demand,
        name_empty=judged.name_empty,
        data=judged.data,
        detectors=judged.detectors,
        state=judged.state,
        qualifiers=verdicts.qualifiers(plan),
        next_steps=judged.next_steps,
        planned_s=plan.duration_s,
        planned_faults=len(plan.windows),
        halted_at_s=verdicts.halted_at_s(seen),
        given=_given(judged),
        system_version=with_images(plan.system, plan.system_given, seen.images),
        source=_source(plan),
    )


def _given(judged: Judgement) -> list[str]:
    """The options that made this plan of the experiment, by what the plan lacks or has beside the file."""
    plan = judged.plan
    given = [word for each in plan.experiment.overrides for word in ("--set", each)]
    given += ["--no-faults"] if plan.experiment.faults and not plan.windows else []
    return given + (["--until-decided", "--max", f"{judged.longest_s:g}s"] if judged.longest_s is not None else [])


def _source(plan: Plan) -> str:
    """The experiment's own file where it names files beside itself: the copy in the run folder does not find them. Else empty."""
    experiment = plan.experiment
    beside = "/" in experiment.cluster.target and not experiment.cluster.target.startswith("/")
    return str(Path(experiment.file).absolute()) if beside and experiment.file else ""


def _fault(record: FaultRecord, judged: Judgement, planned: PlanRow | None) -> FaultObserved:
    service = judged.timeline.services.get(judged.plan.judge)
    outages = [] if service is None else [outage.id for outage in service.outages if record.id in outage.faults]
    return FaultObserved(
        id=record.id,
        name=record.name,
        kind=record.kind,
        fault_class=record.fault_class,
        target=list(record.target),
        status=record.status,
        reason=record.reason,
        asked_at_s=record.asked_s,
        effective_at_s=record.effective_s,
        healed_at_s=record.healed_s,
        recovery_s=None if service is None else service.recovery_s(record),
        outage_ids=outages,
        achieved=Achieved(record.mechanism, record.before, record.during, record.after),
        asked=Asked() if planned is None else _asked(planned),
    )


def _asked(planned: PlanRow) -> Asked:
    """The time is left out where only the run could tell it."""
    for_s = None if planned.end_s is None else planned.end_s - planned.start_s
    at_s = None if planned.follows or planned.latest_s is not None else planned.start_s
    return Asked(at_s, for_s, planned.target, planned.remarks)


def write(report: Report, folder: RunFolder) -> None:
    """``report.json``, its schema, and the page, each all or nothing."""
    write_atomically(folder.report, tables.find("reports", "json")(report).encode())
    write_atomically(folder.path / SCHEMA_FILE, json_schema())
    write_atomically(folder.path / HTML_FILE, tables.find("reports", "html")(report).encode())


def json_schema() -> bytes:
    """The JSON Schema of ``report.json``."""
    schema = msgspec.json.schema(Report)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Nines report", **schema}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2)


def exit_status(report: Report) -> int:
    """The exit code, with ``expect_verdict`` honoured: 0 if the expected verdict came, 1 if another did that is not unknown.

    Only for a run that came to its end: an abort, an interruption or a fault left over is never what was expected.
    """
    if JUDGED_CODES.get(report.verdict) != report.exit_code:
        return report.exit_code
    if report.verdict == report.expect_verdict:
        return 0
    return 3 if report.verdict == "unknown" else 1
