"""What a YAML or JSON file is, by its own keys: an experiment, a target, or a file of another program that people hand us by mistake."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

EXPERIMENT: Final = "an experiment"
TARGET: Final = "a target"
COMPOSE: Final = "a compose file"
TOOLKIT: Final = "a Chaos Toolkit experiment"
KUBERNETES: Final = "a Kubernetes manifest"
CALIBRATION: Final = "a calibration"
FLEET: Final = "a fleet"
UNKNOWN: Final = ""

INSTEAD: Final = {
    TARGET: "an experiment names it: 'cluster: {target: FOLDER}'; 'nines init --target FOLDER' writes one",
    COMPOSE: "'nines init --compose FILE' writes one for it, with 'cluster: {attach: {compose: FILE, services: [NAME]}}'",
    TOOLKIT: "Nines has a form of its own: 'nines init' writes an experiment to begin with (docs/experiments.md)",
    KUBERNETES: "an experiment names pods: 'cluster: {attach: {kubernetes: {namespace: shop, service: store}}}' (docs/kubernetes.md)",
    FLEET: "'nines predict FILE --simulate' simulates it (docs/fleets.md)",
    CALIBRATION: "an experiment names it: 'predict: {calibration: FILE}'",
}
"""What to do with a file that is no experiment."""


def kind_of(keys: Collection[str]) -> str:
    """By the keys of the top level; ``UNKNOWN`` where they are those of nothing known."""
    found = set(keys)
    if "experiment" in found or {"cluster", "traffic"} <= found:
        return EXPERIMENT
    if "target" in found and found & {"parts", "operations", "schema"}:
        return TARGET
    if {"fleet", "regions"} <= found:
        return FLEET
    if "services" in found:
        return COMPOSE
    if "method" in found or "steady-state-hypothesis" in found:
        return TOOLKIT
    if {"apiVersion", "kind"} <= found:
        return KUBERNETES
    return CALIBRATION if {"runs", "parameters"} <= found else UNKNOWN
