"""What is predicted is what a simulation shows that knows nothing of the models: the virtual cluster, event by event, from the same values.

Means over many faults, held against the spread that the prediction itself claims; the virtual runs are the same each time.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.predictions import compared, text
from chaos import api
from chaos.core.clock import ManualClock
from chaos.core.values import VOTING, Status
from chaos.history.events import NodeChanged, RoleChanged
from chaos.history.folder import RunFolder
from chaos.run.run import run_plan
from chaos.runtimes.fake.runtime import FakeRuntime

FAULTS = 40
ERRORS = 3.0
SLOT_S = 0.02


LEADER_ONLY = "role:leader"


@pytest.mark.parametrize(
    ("kind", "policy", "what", "words"),
    [
        ("partition-leader", "retry", "ready", {}),
        ("partition-leader", "plain", "ready", {"leaderless": "hang"}),
        ("rejecting-leader", "plain", "ready", {}),
        ("pause-leader", "retry", "ready", {"leaderless": "hang"}),
        ("kill-leader", "retry", "ready", {"leaderless": "hang"}),
        ("kill-follower", "plain", "ready", {}),
        ("rolling", "plain", "ready", {}),
        ("rolling", "retry", LEADER_ONLY, {}),
        ("leader-last", "plain", LEADER_ONLY, {}),
        ("rolling", "plain", LEADER_ONLY, {"reads": "local"}),
        ("partition-leader", "plain", LEADER_ONLY, {"reads": "local"}),
        ("kill-leader", "retry", "ready", {"ready_needs": "quorum"}),
        ("kill-leader", "plain", "ready", {"ready_needs": "quorum", "leaderless": "hang"}),
        ("kill-leader", "plain", "ready", {"ready_needs": "quorum", "reads": "local"}),
        ("pause-leader", "plain", "ready", {"ready_needs": "quorum", "leaderless": "hang"}),
        ("partition-leader", "plain", "ready", {"ready_needs": "quorum"}),
        ("rolling", "plain", "ready", {"ready_needs": "quorum"}),
        ("kill-follower", "plain", "ready", {"ready_needs": "quorum"}),
    ],
)
def test_a_simulation_costs_what_is_predicted(kind: str, policy: str, what: str, words: dict[str, str], tmp_path: Path) -> None:
    """Seconds of outage over all faults within three standard errors, or within a slot a fault; of reads where any replica answers them."""
    whole = json.loads(text(kind, policy, FAULTS))
    whole["cluster"]["dns"]["check"]["what"] = what
    whole["traffic"]["judge"] = "read" if "reads" in words else "write"
    whole["predict"] = {"parameters": {"refused": "10%", "round_trip": "20ms", **words}}
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps(whole), encoding="utf-8")
    ordered = api.order(file, runtime="fake")
    folder = RunFolder(tmp_path / "run")
    run_plan(ordered.plan, ordered.target, ordered.text, folder, FakeRuntime(), ManualClock())
    found = compared(kind, "fake", policy, folder.path)
    assert found.why == ""
    assert found.faults == FAULTS
    assert found.seen_s == pytest.approx(found.predicted_s, abs=max(ERRORS * found.error_s, SLOT_S * FAULTS))


def test_a_rolling_restart_takes_no_node_while_the_others_elect(tmp_path: Path) -> None:
    """Between two leaders no node votes, which does not mean that none of them is such that votes: two vote whenever one is taken."""
    whole = json.loads(text("rolling", "retry", FAULTS))
    whole["predict"] = {"parameters": {"round_trip": "40ms"}}
    file = tmp_path / "x.yaml"
    file.write_text(json.dumps(whole), encoding="utf-8")
    ordered = api.order(file, runtime="fake")
    folder = RunFolder(tmp_path / "run")
    run_plan(ordered.plan, ordered.target, ordered.text, folder, FakeRuntime(), ManualClock())
    votes, taken = set[str](), 0
    for row in folder.rows():
        if isinstance(row, RoleChanged) and row.role == VOTING:
            votes = votes | {row.node} if row.holds else votes - {row.node}
        elif isinstance(row, NodeChanged) and row.status == Status.DOWN:
            taken += 1
            assert len(votes) == 3, row
    assert taken == 3 * FAULTS
