"""The names of the assumption checks: nouns, and for each what is said when it fails, so that a failed check never reads as a success.

A name is the check's identity (``report.json``, the test cases of JUnit) and never changes with the verdict; the heading does.
"""

from __future__ import annotations

from typing import Final

COMPLETE: Final = "run complete"
HISTORY: Final = "history complete"
TRAFFIC: Final = "traffic complete"
BASELINE: Final = "baseline error-free"
ON_TIME: Final = "requests sent on time"
EFFECTIVE: Final = "all planned faults effective"
APART: Final = "no unplanned overlap"
WELL_BEFORE: Final = "no outage before a fault"
ONE_LEADER: Final = "one leader at a time"
HEALED: Final = "all faults rolled back"
"""The check that, failed, leads to exit 6."""
LIVED: Final = "no unexpected node failures"
CLOCK: Final = "one clock"
REACHED: Final = "all nodes reached by clients"
CERTIFICATES: Final = "server certificates"
EVEN: Final = "even spread over addresses"
ALIKE: Final = "uniform fault classes"
TREND: Final = "no trend"
PREDICTION: Final = "prediction possible"
ELSEWHERE: Final = "calibration from other runs"
RESOLUTION: Final = "probe resolution"
CONTRADICTION: Final = "availability beside success ratio"
DEMAND: Final = "changing rate as planned"

FAILED: Final = {
    COMPLETE: "run cut short",
    HISTORY: "history damaged",
    TRAFFIC: "requests missing at the end",
    BASELINE: "errors before any fault",
    ON_TIME: "requests sent late or not at all",
    EFFECTIVE: "planned faults without effect",
    APART: "faults overlapped unplanned",
    WELL_BEFORE: "an outage before a fault",
    ONE_LEADER: "two leaders at once",
    HEALED: "faults left over",
    LIVED: "unexpected node failures",
    CLOCK: "clocks apart",
    REACHED: "nodes that clients never reached",
    CERTIFICATES: "server certificates not verified",
    EVEN: "uneven spread over addresses",
    ALIKE: "mixed fault classes",
    TREND: "a trend",
    PREDICTION: "no prediction",
    ELSEWHERE: "calibration from this very run",
    RESOLUTION: "a probe too coarse",
    CONTRADICTION: "availability and success ratio contradict each other",
    DEMAND: "rate below the planned one",
}
"""What a failed check is called."""

MEND: Final = {
    COMPLETE: "Find out what ended the run, then run it again.",
    HISTORY: "Look after the disk of the run folder, then run it again.",
    TRAFFIC: "Find out why the client ended early (logs/), then run it again.",
    BASELINE: "Find out why requests fail without any fault (failed requests below), then run it again.",
    ON_TIME: "Lower the request rate, or use an idle machine, then run it again.",
    EFFECTIVE: "See why faults had no effect (faults below), mend the experiment, then run it again.",
    APART: "Leave more time between the faults (every:), then run it again.",
    WELL_BEFORE: "Leave more time between the faults (every:), or find out why the service goes down by itself.",
    ONE_LEADER: "Mend the election of the system: two leaders at once lose writes.",
    HEALED: "Run 'nines heal', then run it again.",
    LIVED: "Find out why the node ended (its log is in logs/), then run it again.",
    CLOCK: "Let all nodes use one clock, then run it again.",
    REACHED: "See that the name leads to every node, then run it again.",
    CERTIFICATES: "Name the authority of the certificates in the target, then run it again.",
    EVEN: "See that clients use every address, then run it again.",
    ALIKE: "Split faults that behave differently into fault classes of their own, then run it again.",
    TREND: "Leave more time between the faults, or find out what changes during the run.",
    PREDICTION: "Declare what the model lacks (predict:), then judge it again.",
    ELSEWHERE: "Calibrate from other runs, then judge it again.",
    RESOLUTION: "Raise the request rate, then run it again.",
    DEMAND: "Lower the rate, or use an idle machine, then run it again.",
    CONTRADICTION: "Report this: the two figures must agree.",
}
"""What to do about a failed check that does not say so itself."""


def heading(name: str, verdict: str) -> str:
    """What stands before the detail: the name of a check that holds, what is wrong with one that does not."""
    if verdict == "fail":
        return FAILED.get(name, f"failed: {name}")
    return name if verdict == "pass" else f"{name}: unknown"
