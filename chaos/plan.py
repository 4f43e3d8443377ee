"""Experiment + seed -> plan: every time and every random draw fixed; only roles wait for the moment of injection.

``plan.json`` is the first thing written into a run folder and the only thing beside the history that thinking reads, so it
holds all of it: the experiment, the nodes, the operations and the model's parameters with their origins.
"""

from __future__ import annotations

import msgspec

from chaos.experiment import Experiment
from chaos.kinds import Link
from chaos.target import OperationKind

SCHEMA = 1


class PlannedNode(msgspec.Struct, frozen=True):
    """A node before it has an address."""

    name: str
    part: str
    zone: str | None = None


class Window(msgspec.Struct, frozen=True):
    """One injection: at ``start_s`` after t = 0 (the first slot; the baseline is counted in), until ``end_s`` (None: to the end)."""

    id: str
    fault: str
    """The name of its FaultSpec."""
    kind: str
    start_s: float
    end_s: float | None
    draw: int
    """Seeds the choice among the candidates that are there at injection."""


class Parameter(msgspec.Struct, frozen=True):
    """One input of the models: a value, or a uniform range; ``origin`` says who claims it: target, experiment, calibration, default."""

    name: str
    value: float
    unit: str
    origin: str
    high: float | None = None
    """With a range, ``value`` is its low end and this the high one."""
    word: str = ""
    """For a parameter that is a choice (``leaderless``, ``reads``): the word; ``value`` is its index in ``parameters.KNOWN``."""
    error: float = 0.0
    """By how much it is uncertain as a whole (standard error, in ``unit``): a calibration from few faults knows its mean only so well."""
    n: int = 0
    """From how many measurements, if it was calibrated."""


class Plan(msgspec.Struct, frozen=True):
    """What will be done, exactly."""

    schema: int
    experiment: Experiment
    seed: int
    runtime: str
    nodes: tuple[PlannedNode, ...]
    settings: dict[str, str]
    operations: dict[str, OperationKind]
    judge: str
    windows: tuple[Window, ...]
    duration_s: float
    """From the first slot to the end of the last one."""
    links: tuple[Link, ...]
    """Every directed link that a fault of this plan may name: these are proxied on local, and nothing else is."""
    replication: str
    parameters: tuple[Parameter, ...]
    has_roles: bool = True
    configuration: str = ""
    """Hash of what makes runs comparable: leaves out seed, question and objectives."""
    looks_s: tuple[float, ...] = ()
    """When (since t = 0) the run may look at what it has and stop: it then is a sequential one. Empty: it goes on to its end."""
    calibration: tuple[str, ...] = ()
    """The runs that parameters were measured in: their predictions must not be held against any of them."""
