"""A small target and experiment that unit tests load, plan and bend."""

from __future__ import annotations

from pathlib import Path

from chaos.experiment.document import Experiment, parse_experiment
from chaos.experiment.target.load import parse_target
from chaos.experiment.target.spec import Target
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan

TARGET = """\
schema: 1
target: sample
settings:
  heartbeat: {default: 100ms}
  reads: {default: quorum, choices: [quorum, local]}
  cache: {default: 64}
parts:
  data:
    nodes: {default: 3, min: 1, max: 9}
    ports: {client: 7000, peer: 7001}
    local: {command: ["{python}", serve.py, "{node}", "{address}", "{client}", "{peers:{node}=http://{address}:{peer}}"]}
    ready: {http: "http://{address}:{client}/status", json: ready, within: 10s}
    ping: {peer: {http: "http://{peer_address}:{peer}/status"}}
roles:
  leader: {http: "http://{address}:{client}/status", json: "state=leader"}
  voting: ready
operations:
  write: {http: "PUT http://{address}:{client}/kv/{key}", body: "{value}", does: write}
  read: {http: "GET http://{address}:{client}/kv/{key}", does: read}
model: {replication: quorum, heartbeat: "{heartbeat}", election_timeout: [150ms, 300ms], restart: 1s, leaderless: hang}
local: {peers: per-node}
"""

EXPERIMENT = """\
experiment: sample
question: How long do writes fail?
cluster: {target: sample, nodes: 3}
traffic: {operations: {write: 100/s}}
baseline: 5s
faults:
FAULTS
settle: 10s
"""


def sample_target(text: str = TARGET) -> Target:
    """The target of that text."""
    return parse_target(text, "target.yaml", Path("sample"))


def sample_experiment(faults: str = "", more: str = "") -> Experiment:
    """The sample experiment with these faults and further lines."""
    return parse_experiment(EXPERIMENT.replace("FAULTS", faults) + more, "sample.yaml")


def sample_plan(faults: str = "", more: str = "", *, seed: int | None = None, target: Target | None = None, runtime: str = "local") -> Plan:
    """Its plan."""
    return make_plan(sample_experiment(faults, more), target or sample_target(), seed=seed, runtime=runtime)
