"""Faults by hand on pods that run already: what only a run can do is refused at once, with what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order
from chaos.cli.manual_orders import planned, prepared, written
from chaos.core.errors import CapabilityMissing

HELD = """\
experiment: held
question: Do customers notice?
cluster: {{attach: {{kubernetes: {{namespace: shop, service: store{guests}}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults: [{{{fault}, at: [1s], for: 3s}}]
"""
OURS = """\
experiment: held
question: Do clients notice?
cluster: {target: replicated_kv, nodes: 3, runtime: kubernetes}
traffic: {operations: {write: 20/s, read: 20/s}, judge: write}
faults: [{kill: {}, target: any, at: [1s], for: 3s}]
"""


def held(tmp_path: Path, fault: str = "pause: {}, target: any", guests: str = ""):
    file = tmp_path / "held.yaml"
    file.write_text(HELD.format(fault=fault, guests=guests))
    return order(file)


def test_a_fault_of_the_name_is_one_that_the_experiment_plans(tmp_path: Path) -> None:
    """Whoever stands between clients and the cluster's DNS stands there from the first request on, or not at all."""
    hand = written("dns", None, "5s", ["mode=servfail"])
    with pytest.raises(CapabilityMissing, match=r"not prepared for 'dns': (?s:.*)an experiment that plans it \(faults: "):
        planned(held(tmp_path), hand)
    ready = held(tmp_path, "dns: {mode: nxdomain}")
    assert planned(ready, hand).experiment.faults
    assert [fault.kind for fault in prepared(ready).experiment.faults] == ["dns"]


def test_a_pod_is_deleted_where_the_experiment_said_so(tmp_path: Path) -> None:
    order_ = written("delete", "n1", "30s", [])
    with pytest.raises(CapabilityMissing, match="not prepared for 'delete'"):
        planned(held(tmp_path), order_)
    assert planned(held(tmp_path, "delete: {}, target: any"), order_).experiment.faults


def test_ephemeral_guests_do_by_hand_what_they_do_in_runs(tmp_path: Path) -> None:
    lodged = held(tmp_path, "partition: {}, target: any", ", guests: ephemeral")
    with pytest.raises(CapabilityMissing, match="'pause' cannot be done with 'guests: ephemeral'"):
        planned(lodged, written("pause", "n1", "5s", []))
    assert planned(lodged, written("partition", "n1", "5s", [])).experiment.faults


def test_pods_of_ours_have_by_hand_what_a_run_has(tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(OURS)
    for kind, to, fields in (("dns", None, ["mode=servfail"]), ("kill", "leader", []), ("latency", "clients -> n1", ["latency=50ms"])):
        assert planned(order(file), written(kind, to, "5s", fields)).experiment.faults
