"""JUnit XML, as CI systems read it: one test case an objective, an assumption check and an agreement.

fail      -> <failure>     an objective that is missed, a check that failed
unknown   -> <error>       could not be told: distinct from a failure
agreement -> passes when consistent, else <skipped> with its message: it counts only where an objective asks for it,
             and then that objective is a test case of its own
"""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from chaos.core.escaping import every, xml
from chaos.report import format as say
from chaos.report import headline as top
from chaos.report import story as tell
from chaos.report.answers import answers
from chaos.results.report import Report
from chaos.results.verdict import Agreement, Check, Objective

STATUS = {2: "BAD INPUT", 6: "FAULTS LEFT OVER", 70: "CRASHED"}
"""Exit status of what did not come to a report -> its word; any other: not started."""


def render(report: Report) -> str:
    """One test suite for the run."""
    report = every(report, xml)
    suite = Xml.Element("testsuite", name=report.experiment, timestamp=report.started_at[:19], time=f"{report.duration_s:.3f}")
    properties = Xml.SubElement(suite, "properties")
    told = {"run": report.run, "seed": str(report.seed), "runtime": report.runtime, "target": report.target, "verdict": report.verdict,
            "state": top.verdict(report),
            "agreement": report.agreement_overall, "folder": report.folder, "configuration": report.configuration}  # fmt: skip
    for name, value in told.items():
        Xml.SubElement(properties, "property", name=name, value=value)
    _verdict(suite, report)
    for objective in report.objectives:
        _objective(suite, report, objective)
    for check in report.checks:
        _check(suite, report, check)
    for agreement in report.agreement:
        _agreement(suite, report, agreement)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    Xml.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(suite, encoding="unicode") + "\n"


def refused(name: str, message: str, status: int) -> str:
    """What could not be run at all (bad input, an unusable environment, a bug of ours): one case, in error."""
    suite = Xml.Element("testsuite", name=xml(name), time="0", tests="1", failures="0", errors="1", skipped="0")
    case = Xml.SubElement(suite, "testcase", classname=f"nines.{xml(name)}.run", name="verdict", time="0")
    _say(case, "error", f"exit status {status}", xml(f"{STATUS.get(status, 'NOT STARTED')}: {message}"), "")
    Xml.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(suite, encoding="unicode") + "\n"


def _case(suite: Xml.Element, report: Report, group: str, name: str) -> Xml.Element:
    return Xml.SubElement(suite, "testcase", classname=f"nines.{report.experiment}.{group}", name=name, time="0")


def _verdict(suite: Xml.Element, report: Report) -> None:
    """The run as a whole: the only case that an experiment with ``expect_verdict: fail`` can fail by passing."""
    case = _case(suite, report, "run", "verdict")
    case.set("time", f"{report.duration_s:.3f}")
    bad = [f"Bad requests of {service}, {when}: {number} {met}{f' ({nodes})' if nodes else ''}." for service, when, number, met, nodes
           in say.bad_rows(report)]  # fmt: skip
    first = f"{top.verdict(report)}: {top.headline(report)}"
    text = " ".join([first, *tell.story(report), *(f"{answer.question}: {answer.text}" for answer in answers(report)), *bad]).rstrip()
    if report.verdict == report.expect_verdict:
        Xml.SubElement(case, "system-out").text = text
    elif report.verdict == "unknown":
        _say(case, "error", top.state(report).name, first, text)
    else:
        _say(case, "failure", report.verdict, f"{first} Expected: {report.expect_verdict}.", text)


def _objective(suite: Xml.Element, report: Report, objective: Objective) -> None:
    case = _case(suite, report, "objectives", f"{objective.name} {objective.want}")
    seen = say.estimate(objective.observed, say.measure(objective.name))
    if objective.verdict == "fail" and report.expect_verdict == "fail":
        _say(case, "skipped", "", f"missed, as this experiment expects: observed {seen}", "")
    elif objective.verdict == "fail":
        _say(case, "failure", "objective", f"observed {seen}, wanted {objective.want} ({objective.basis})", "")
    elif objective.verdict == "unknown":
        _say(case, "error", "unknown", f"cannot be told: {objective.observed.reason or seen}", "")


def _check(suite: Xml.Element, report: Report, check: Check) -> None:
    case = _case(suite, report, "checks", check.name)
    if check.verdict == "fail":
        _say(case, "failure", "check", f"{check.heading}: {check.detail}", check.next_step)
    elif check.verdict == "unknown":
        _say(case, "error", "unknown", check.detail, "")


def _agreement(suite: Xml.Element, report: Report, row: Agreement) -> None:
    case = _case(suite, report, "agreement", f"{row.service} {row.fault_class or 'all'} {row.measure}")
    if row.verdict == "consistent":
        return
    decide = f", {row.faults_to_decide} faults would decide" if row.faults_to_decide else ""
    said = f"predicted {say.number(row.predicted)}, observed {say.number(row.observed)}, {say.is_chance(row.p_value)}{decide}"
    _say(case, "skipped", "", f"{row.verdict}: {said}", "")


def _say(case: Xml.Element, tag: str, kind: str, message: str, text: str) -> None:
    element = Xml.SubElement(case, tag, message=message)
    if kind:
        element.set("type", kind)
    if text:
        element.text = text
