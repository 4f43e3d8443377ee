"""Every way to say when and to whom, each in a run of its own; and that protected nodes are never hit by any of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from chaos.core.clock import ManualClock, to_s
from chaos.core.errors import BadInput
from chaos.experiment.document import parse_experiment
from chaos.history.events import FaultAsked, FaultEffective, FaultSkipped, NodeChanged, TrafficEnded, TrafficStarted
from chaos.history.folder import RunFolder
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.run.run import run_plan
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support.samples import TARGET, sample_target
from tests.support.virtual_run import of, run

FIVE = """\
experiment: sample
question: Who is hit?
cluster: {target: sample, nodes: 5, zones: {a: [n1, n2], b: [n3, n4, n5]}}
traffic: {operations: {write: 50/s}}
baseline: 1s
faults:
FAULTS
settle: 8s
"""
PARTS = FIVE.replace("nodes: 5, zones: {a: [n1, n2], b: [n3, n4, n5]}", "parts: {data: 3, sentinel: 3}")
TWO_PARTS = TARGET.replace(
    "roles:\n",
    "  sentinel:\n    nodes: {default: 3, min: 1, max: 5}\n    ports: {client: 7000, peer: 7001}\n"
    '    local: {command: ["{python}", serve.py, "{node}"]}\n'
    '    ready: {http: "http://{address}:{client}/status", json: ready, within: 10s}\nroles:\n',
)
TWO_PARTS = TWO_PARTS[: TWO_PARTS.index("roles:")] + TWO_PARTS[TWO_PARTS.index("operations:") : TWO_PARTS.index("model:")]
"""Without roles: the virtual cluster has them in one part alone."""


def planned(fault: str, more: str = "", *, text: str = FIVE, target: str = TARGET, seed: int = 1) -> Plan:
    """The plan of one fault, in virtual time."""
    experiment = parse_experiment(text.replace("FAULTS", f"  - {{name: one, {fault}}}") + more, "sample.yaml")
    return make_plan(experiment, sample_target(target), seed=seed, runtime="fake")


@pytest.mark.parametrize(
    ("target", "count", "among"),
    [
        ("leader", 1, "n1 n2 n3 n4 n5"),
        ("followers", 4, "n1 n2 n3 n4 n5"),
        ("any", 1, "n1 n2 n3 n4 n5"),
        ("n2", 1, "n2"),
        ("[n1, n4]", 2, "n1 n4"),
        ("{any: 2}", 2, "n1 n2 n3 n4 n5"),
        ("{percent: 50%}", 3, "n1 n2 n3 n4 n5"),
        ("{percent: 50%, role: followers}", 3, "n1 n2 n3 n4 n5"),
        ("majority", 3, "n1 n2 n3 n4 n5"),
        ("minority", 2, "n1 n2 n3 n4 n5"),
        ("{zone: b}", 3, "n3 n4 n5"),
        ("{zone: b, any: 1}", 1, "n3 n4 n5"),
        ("{any: 1, role: followers}", 1, "n1 n2 n3 n4 n5"),
    ],
)
def test_each_selector_of_nodes_hits_whom_it_names(tmp_path: Path, target: str, count: int, among: str) -> None:
    """So many of those, and the fault took effect on them."""
    rows = run(planned(f"pause: {{}}, target: {target}, at: 3s, for: 1s"), tmp_path)
    (asked,) = of(rows, FaultAsked)
    assert len(asked.target) == count
    assert set(asked.target) <= set(among.split())
    assert {row.node for row in of(rows, NodeChanged) if row.status == "paused"} == set(asked.target)


@pytest.mark.parametrize(("target", "count"), [("{part: sentinel, any: 2}", 2), ("{part: sentinel, percent: 100%}", 3)])
def test_a_part_is_picked_from(tmp_path: Path, target: str, count: int) -> None:
    """Of several, the one that is named; words alone mean the part behind the name."""
    plan = planned(f"pause: {{}}, target: {target}, at: 3s, for: 1s", text=PARTS, target=TWO_PARTS)
    run_plan(plan, sample_target(TWO_PARTS), "", RunFolder(tmp_path), FakeRuntime(), ManualClock())
    rows = RunFolder(tmp_path).rows()
    (asked,) = of(rows, FaultAsked)
    assert len(asked.target) == count
    assert all(name.startswith("sentinel-") for name in asked.target)


@pytest.mark.parametrize(
    ("link", "count"),
    [("leader -> any", 4), ("leader <-> any", 8), ("any -> any", 20), ("followers -> leader", 4), ("n1 <-> n3", 2),
     ("clients -> n2", 1), ("clients -> any", 5), ("clients -> leader", 1), ("dns -> n1", 1)],
)  # fmt: skip
def test_each_form_of_a_link(tmp_path: Path, link: str, count: int) -> None:
    """One way and both ways, peers, clients and the name server."""
    rows = run(planned(f'latency: {{latency: 30ms}}, target: {{link: "{link}"}}, at: 3s, for: 1s'), tmp_path)
    (asked,) = of(rows, FaultAsked)
    assert len(set(asked.target)) == count
    assert [row.id for row in of(rows, FaultEffective)] == ["one.1"]


@pytest.mark.parametrize(
    ("schedule", "count"),
    [("at: 3s", 1), ("at: [3s, 20s]", 2), ("every: 12s, times: 3", 3), ("every: 12s, exact: true, times: 3", 3),
     ("every: {poisson: 3s}, times: 4", 4), ("every: {renewal: {distribution: lognormal, mean: 4s, cv: 0.5}}, times: 4", 4),
     ("every: {renewal: {distribution: weibull, mean: 4s, shape: 2}}, times: 4", 4),
     ("every: {renewal: {distribution: uniform, mean: 4s, cv: 0.3}}, times: 4", 4)],
)  # fmt: skip
def test_each_schedule_is_kept(tmp_path: Path, schedule: str, count: int) -> None:
    """Never early, and late only where the cluster had to settle; all of them before the end of the traffic."""
    plan = planned(f"pause: {{}}, target: any, {schedule}, for: 1s")
    rows = run(plan, tmp_path)
    start_ns = of(rows, TrafficStarted)[0].start_ns
    asked_s = [to_s(row.at_ns - start_ns) for row in of(rows, FaultAsked)]
    assert len(asked_s) == len(plan.windows) == count
    for window, at_s in zip(plan.windows, asked_s, strict=True):
        assert window.start_s <= at_s + 1e-6 <= window.start_s + plan.experiment.settle_s
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(asked_s))
    assert asked_s[-1] < to_s(of(rows, TrafficEnded)[0].end_ns - start_ns)


# --- never protected nodes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        "pause: {}, target: any",
        "pause: {}, target: {any: 3}",
        "pause: {}, target: {percent: 60%}",
        "pause: {}, target: minority",
        "pause: {}, target: majority",
        "pause: {}, target: followers",
        "pause: {}, target: {zone: b, any: 2}",
        "restart: {order: rolling}, target: {any: 3}",
        "kill: {}, target: {any: 2}",
        "partition: {}, target: any",
        "partition: {shape: halves}",
        "partition: {shape: bridge}",
        "partition: {shape: ring}",
        "partition: {shape: minority}, target: any",
        'latency: {latency: 10ms}, target: {link: "any <-> any"}',
        'latency: {latency: 10ms}, target: {link: "clients -> any"}',
        'down: {}, target: {link: "leader -> any"}',
    ],
)
def test_no_choice_falls_on_a_protected_node(tmp_path: Path, fault: str) -> None:
    """Whatever the draw: neither as a victim, nor on a smaller side, nor as an end of a link, nor changed by the fault."""
    plan = planned(f"{fault}, at: [3s, 15s, 27s, 39s], for: 1s", "limits: {protect: [n5]}\n")
    rows = run(plan, tmp_path)
    asked = of(rows, FaultAsked)
    assert asked
    assert all("the leader, n5, is protected" in row.reason for row in of(rows, FaultSkipped))
    for row in asked:
        groups = sorted((name.replace(" -> ", ",").split(",") for name in row.target), key=len)
        if "minority" in fault or "majority" in fault or "halves" in fault:
            groups = groups[:-1] if len(groups) > 1 else groups
        assert "n5" not in {end for group in groups for end in group}
    assert not [row for row in of(rows, NodeChanged) if row.node == "n5" and row.cause.startswith("one")]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("pause: {}, target: n5", "n5 is protected"),
        ("pause: {}, target: [n1, n5]", "n5 is protected"),
        ("pause: {}, target: {zone: b}", "n5 is protected"),
        ('latency: {latency: 10ms}, target: {link: "n1 -> n5"}', "n5 is protected"),
        ('latency: {latency: 10ms}, target: {link: "clients -> n5"}', "n5 is protected"),
        ("partition: {groups: [[n1, n2], [n3, n5]]}", "n5 is protected"),
        ("partition: {groups: [[n1, n2, n3, n4]]}", "n5 is protected, and these groups cut it off"),
        ("pause: {}, target: {percent: 100%}", "only 4 may be picked"),
    ],
)
def test_a_protected_node_that_is_meant_is_a_contradiction(fault: str, says: str) -> None:
    """Refused with its place, before anything starts."""
    with pytest.raises(BadInput, match=says):
        planned(f"{fault}, at: 3s, for: 1s", "limits: {protect: [n5]}\n")


def test_the_run_looks_again(tmp_path: Path) -> None:
    """A plan whose limits were tightened afterwards: groups that cut a protected node off are not made."""
    plan = planned("partition: {groups: [[n1, n2, n3, n4]]}, at: 3s, for: 1s")
    limits = msgspec.structs.replace(plan.experiment.limits, protect=("n5",))
    tight = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, limits=limits))
    (skipped,) = of(run(tight, tmp_path), FaultSkipped)
    assert skipped.reason == "n5 is protected"
