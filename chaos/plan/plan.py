"""Experiment + seed -> plan: every time and every random draw fixed; only roles wait for the moment of injection.

``plan.json`` is the first thing written into a run folder and the only thing beside the history that thinking reads, so it
holds all of it: the experiment, the nodes, the operations and the model's parameters with their origins.
"""

from __future__ import annotations

import msgspec

from chaos.core.values import Link
from chaos.experiment.document import Experiment
from chaos.experiment.labels import meets
from chaos.experiment.target.operation import OperationKind

SCHEMA = 1


class PlannedNode(msgspec.Struct, frozen=True):
    """A node before it has an address."""

    name: str
    part: str
    zone: str | None = None
    host: str | None = None
    """The machine that it stands on, where that is another thing than its zone."""
    labels: dict[str, str] | None = None
    """What it is labelled with; None where nobody asked, or nothing labels it."""

    def stands_in(self, place: str) -> bool:
        """In that zone, or on that host."""
        return place in (self.zone, self.host)

    def fits(self, part: str | None, zone: str | None, label: str | None) -> bool:
        """Of that part, in that zone or on that host, and with such labels, as far as each is given."""
        of_part = part is None or self.part == part
        return of_part and (zone is None or self.stands_in(zone)) and (label is None or meets(self.labels or {}, label))


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
    entry: str = ""
    """Of a step of a sequence or of parallel faults: which occasion of the whole it belongs to."""
    after: tuple[str, ...] = ()
    """It begins when these are over, ``gap_s`` later; ``start_s`` is then what the plan hopes for."""
    beside: str = ""
    """It begins together with this one."""
    gap_s: float = 0.0
    latest_s: float | None = None
    """It waits for its condition from ``start_s`` on, until then at most."""


class Parameter(msgspec.Struct, frozen=True):
    """One input of the models: a value, or a uniform range; ``origin`` says who claims it: target, experiment,
    calibration, or what runs around the nodes (``plugin.Surrounding``)."""

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


class Traits(msgspec.Struct, frozen=True):
    """What a fault is, as far as models and judgement go by it: see the declarations of the same names in ``plugin.Fault``."""

    leader: str = "keeps"
    polite: bool = False
    severs: bool = False
    of_name: bool = False
    awaits: str = "heal"
    network: str = ""
    order: str = "together"
    last_first: bool = False
    role: str = ""
    side: str = ""
    whom: str = ""
    unpredicted: str = ""


class DataPlan(msgspec.Struct, frozen=True):
    """What clients write and read beside the traffic, and what is checked of it."""

    workload: str
    """register, counter, set or list: what each key is."""
    operations: dict[str, OperationKind]
    mix: dict[str, float]
    """Operation -> its share; they sum to 1."""
    checks: tuple[str, ...]
    read_node: OperationKind | None = None
    """How one node is read by itself; None where the target does not say it."""
    once: float = 0.0
    """Share of the writes that go to a key of their own."""

    @property
    def kinds(self) -> tuple[OperationKind, ...]:
        """All that is asked, of the service and of nodes."""
        return (*self.operations.values(), *(() if self.read_node is None else (self.read_node,)))


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
    """Every directed link that a fault of this plan may name."""
    replication: str
    parameters: tuple[Parameter, ...]
    has_roles: bool = True
    configuration: str = ""
    """Hash of what makes runs comparable: leaves out seed, question and objectives."""
    looks_s: tuple[float, ...] = ()
    """When (since t = 0) the run may look at what it has and stop: it then is a sequential one. Empty: it goes on to its end."""
    proxied: tuple[Link, ...] | None = None
    """Those of ``links`` that a proxy stands in all the time: ``local`` has no other means, ``docker`` only where bytes are harmed.
    None (of plans older than this field): in all of them."""
    calibration: tuple[str, ...] = ()
    """The runs that parameters were measured in: their predictions must not be held against any of them."""
    virtual: bool = False
    """Its runtime lives in virtual time: what it shows is simulated."""
    traits: dict[str, Traits] = {}
    """Fault -> what it is, by its own class's word."""
    data: DataPlan | None = None
    """What clients write and read beside the traffic, and what is checked of it."""
    system: str = ""
    """The version of the system under test, as far as it is known before the run: ``system_version``."""
    system_given: bool = False
    """The user's own word for it."""
    role_parts: dict[str, str] = {}
    """Role -> the part whose nodes alone are asked for it, where the target says so."""

    def may_hold(self, role: str, node: PlannedNode) -> bool:
        """Whether this node is asked for the role, if the target has it."""
        return self.role_parts.get(role, node.part) == node.part

    def __repr__(self) -> str:
        return f"Plan({len(self.windows)} faults in {self.duration_s:.0f} s, {len(self.nodes)} nodes, {self.runtime}, seed {self.seed})"


def tries(plan: Plan) -> list[list[Window]]:
    """The windows that are one try at harming each: alone, or steps of one entry, where no gap lets the cluster settle before a step."""
    found: dict[str, list[Window]] = {}
    heads: dict[str, str] = {}
    for window in plan.windows:
        settles = window.gap_s >= plan.experiment.settle_s
        before = window.beside or ("" if settles or not window.after else window.after[0])
        heads[window.id] = heads.get(before, window.id)
        found.setdefault(heads[window.id], []).append(window)
    return list(found.values())
