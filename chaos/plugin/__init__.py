"""What the author of a plug-in imports: what faults, probes, runtimes, reports and models are, and what they are given.

    experiment -> plan -> run(plan, cluster) -> history on disk -> timeline -> estimates -> verdict -> report

    nines.faults     a class ``Fault``       what is done, and how it is proven
    nines.models     a ``Model``             what that should come to, for the fault of the same name
    nines.runtimes   a class ``Runtime``     where nodes run; ``up`` gives a ``Cluster`` of ``Node``s, with a ``Net``
    nines.probes     a ``Build``             how one operation of the traffic is sent: ``build(setup)`` gives a ``Probe``
    nines.reports    a function              from a ``Report`` to text
    nines.checks     a class ``Check``       what is found wrong in the data that clients wrote and read
    nines.exports    a function              from a run folder to text, for another tool

*When* (schedule), *what* (fault), *to whom* (selector) and *where* (runtime) are apart. A fault is one method that returns a
context manager: entering harms, leaving heals; it has no duration and never sleeps. What a fault ``needs`` and a runtime ``offers`` are
the words of ``Capability``. What happened is pushed, as rows of ``history/events.py``, into a ``Sink`` at the moment it happens.

Everything in ``__all__`` can be imported from here, and only from here. The contracts themselves are a page a subject beside this one:
``faults``, ``models``, ``runtimes``, ``clusters``, ``nodes``, ``links``. ``chaos.testing`` has checks for each kind; docs/extending.md
shows one of each.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from chaos.core.capabilities import Capability
from chaos.core.clock import Clock
from chaos.core.values import (
    Allowed,
    ClockReading,
    Evidence,
    Held,
    Link,
    Load,
    Loaded,
    LookUp,
    NameHarm,
    NamesHarmed,
    NodeInfo,
    OpenFiles,
    Passage,
    Room,
    RoundTrip,
    Rule,
    Sent,
    Status,
    TrafficOrder,
    Train,
    Usage,
    Victims,
    Work,
)
from chaos.plugin.clusters import Cluster, Crowd, GathersCrowds, HasHosts, HasMembers, ReadsClocks, SendsSurges, Surge, Traffic
from chaos.plugin.faults import ActsOnLinks, Effect, Fault, NeedsLimits, NeedsOfMachine, Reference, SaysWhoIsDown, Scene, Undo
from chaos.plugin.links import Gauge, HasAddresses, HasNames, HasNetworks, Layer, Line, Names, Net
from chaos.plugin.models import Model
from chaos.plugin.nodes import Deletable, Disks, Evictable, HasDisks, HasLoads, KillsServing, LimitsFiles, Loads, Node, Removable, SetsClock
from chaos.plugin.runtimes import COMMAND_GONE, CrashedRun, Deployment, Left, Runtime, Sink, Spot, Surrounding, Told

if TYPE_CHECKING:
    from chaos.core.clock import to_ns, to_s
    from chaos.core.errors import BadInput, CapabilityMissing, EnvironmentUnusable, FaultNotEffective, NotHealed
    from chaos.core.units import Bytes, BytesPerSecond, PerSecond, Ratio, Seconds
    from chaos.core.values import Cut, Loss, Shaping, Toxic
    from chaos.data.check import Breach, Budget, Check, Finding, Undecided
    from chaos.data.operations import DataHistory, KeyHistory, Operation
    from chaos.experiment.cluster import AttachSpec, Resources
    from chaos.experiment.selectors import Selector
    from chaos.experiment.target.spec import Target
    from chaos.faults.base import evidence
    from chaos.history.events import Row
    from chaos.history.observations import Outcome, Why
    from chaos.plan.plan import Plan
    from chaos.predict.scenarios.case import Case
    from chaos.predict.scenarios.client import Scenario
    from chaos.registry.runs import Claim, claim
    from chaos.results.report import Report
    from chaos.traffic.probe import Build, Carrier, Probe, SaysValue, Setup, Slot, StartsSomething, Template, Written, reads

__all__ = [
    "COMMAND_GONE",
    "ActsOnLinks",
    "Allowed",
    "AttachSpec",
    "BadInput",
    "Breach",
    "Budget",
    "Build",
    "Bytes",
    "BytesPerSecond",
    "Capability",
    "CapabilityMissing",
    "Carrier",
    "Case",
    "Check",
    "Claim",
    "Clock",
    "ClockReading",
    "Cluster",
    "CrashedRun",
    "Crowd",
    "Cut",
    "DataHistory",
    "Deletable",
    "Deployment",
    "Disks",
    "Effect",
    "EnvironmentUnusable",
    "Evictable",
    "Evidence",
    "Fault",
    "FaultNotEffective",
    "Finding",
    "GathersCrowds",
    "Gauge",
    "HasAddresses",
    "HasDisks",
    "HasHosts",
    "HasLoads",
    "HasMembers",
    "HasNames",
    "HasNetworks",
    "Held",
    "KeyHistory",
    "KillsServing",
    "Layer",
    "Left",
    "LimitsFiles",
    "Line",
    "Link",
    "Load",
    "Loaded",
    "Loads",
    "LookUp",
    "Loss",
    "Model",
    "NameHarm",
    "Names",
    "NamesHarmed",
    "NeedsLimits",
    "NeedsOfMachine",
    "Net",
    "Node",
    "NodeInfo",
    "NotHealed",
    "OpenFiles",
    "Operation",
    "Outcome",
    "Passage",
    "PerSecond",
    "Plan",
    "Probe",
    "Ratio",
    "ReadsClocks",
    "Reference",
    "Removable",
    "Report",
    "Resources",
    "Room",
    "RoundTrip",
    "Row",
    "Rule",
    "Runtime",
    "SaysValue",
    "SaysWhoIsDown",
    "Scenario",
    "Scene",
    "Seconds",
    "Selector",
    "SendsSurges",
    "Sent",
    "SetsClock",
    "Setup",
    "Shaping",
    "Sink",
    "Slot",
    "Spot",
    "StartsSomething",
    "Status",
    "Surge",
    "Surrounding",
    "Target",
    "Template",
    "Told",
    "Toxic",
    "Traffic",
    "TrafficOrder",
    "Train",
    "Undecided",
    "Undo",
    "Usage",
    "Victims",
    "Why",
    "Work",
    "Written",
    "claim",
    "evidence",
    "reads",
    "to_ns",
    "to_s",
]

_FROM: Final = {
    "chaos.core.clock": (
        "to_ns",
        "to_s",
    ),
    "chaos.core.errors": (
        "BadInput",
        "CapabilityMissing",
        "EnvironmentUnusable",
        "FaultNotEffective",
        "NotHealed",
    ),
    "chaos.core.units": (
        "Bytes",
        "BytesPerSecond",
        "PerSecond",
        "Ratio",
        "Seconds",
    ),
    "chaos.core.values": (
        "Cut",
        "Loss",
        "Shaping",
        "Toxic",
    ),
    "chaos.data.check": (
        "Breach",
        "Budget",
        "Check",
        "Finding",
        "Undecided",
    ),
    "chaos.data.operations": (
        "DataHistory",
        "KeyHistory",
        "Operation",
    ),
    "chaos.experiment.cluster": ("AttachSpec", "Resources"),
    "chaos.experiment.selectors": ("Selector",),
    "chaos.experiment.target.spec": ("Target",),
    "chaos.faults.base": ("evidence",),
    "chaos.history.events": ("Row",),
    "chaos.history.observations": (
        "Outcome",
        "Why",
    ),
    "chaos.plan.plan": ("Plan",),
    "chaos.predict.scenarios.case": ("Case",),
    "chaos.predict.scenarios.client": ("Scenario",),
    "chaos.registry.runs": (
        "Claim",
        "claim",
    ),
    "chaos.results.report": ("Report",),
    "chaos.traffic.probe": (
        "Build",
        "Carrier",
        "Probe",
        "SaysValue",
        "Setup",
        "Slot",
        "StartsSomething",
        "Template",
        "Written",
        "reads",
    ),
}
"""Where those names are that are loaded only when they are asked for."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - of any kind
    module = next((module for module, names in _FROM.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in _THINKING:
            raise
        return type(name, (_Judged,), {})
    return getattr(found, name) if hasattr(found, name) else importlib.import_module(f"{module}.{name}")


_THINKING: Final = ("numpy", "scipy")
"""What only predicting and judging import: a harness beside an engine that is elsewhere acts, and has neither."""


class _Judged:
    """Stands for what is only where runs are predicted and judged, so that a plug-in's module loads where its fault is done."""

    def __init__(self, *_: object, **__: object) -> None:
        from chaos.core.errors import EnvironmentUnusable

        raise EnvironmentUnusable(
            f"{type(self).__name__} is not here: this process does runs and judges none", how="judge where the command is"
        )
