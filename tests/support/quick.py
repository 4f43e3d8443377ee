"""A short experiment on the fake runtime, for tests of everything around a run."""

from __future__ import annotations

from typing import Final

QUICK: Final = """\
experiment: quick
question: How long do writes fail when the leader dies?
cluster:
  target: replicated_kv
  nodes: 3
  runtime: fake
  dns: {balancer: health-checked, ttl: 1s, check: {what: ready, every: 100ms, timeout: 100ms}}
traffic: {operations: {write: 50/s, read: 50/s}, judge: write}
baseline: 2s
faults:
  - {name: kill-leader, kill: {}, target: leader, every: 5s, for: 1s, times: 2, expect: {recovery: "<= 5s"}}
settle: 5s
seed: 1
predict: {production: {kill: 1 per 45d per node}}
objectives: {availability: ">= 50%"}
abort_if: {unavailable_for: 15s}
"""
