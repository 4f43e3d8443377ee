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


def heading(name: str, verdict: str) -> str:
    """What stands before the detail: the name of a check that holds, what is wrong with one that does not."""
    if verdict == "fail":
        return FAILED.get(name, f"failed: {name}")
    return name if verdict == "pass" else f"{name}: unknown"
