"""What was done in a run (or will be, by its plan), as the models need it: counts per fault class, no measurement of outcome.

``judge`` fills it from the history, ``nines predict`` from the plan; ``models`` turn it into what a run like that should show.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.experiment import ClusterSpec

OVERLAP: Final = "overlap"
"""The kind of a class of faults that are done together: of those no model knows more than that they are."""


Params = dict[str, str | float | bool | tuple[str | tuple[str, ...], ...] | None]


def felt(params: Params, cluster: ClusterSpec) -> Params:
    """A fault's fields as the models are told them: ``network`` stays only where it leaves nodes the one that they talk to each other on.

    A cut of the last network alone is to the system what a cut of all of them is.
    """
    network = params.get("network")
    return {**params, "network": ""} if network and not cluster.spares_peers(network) else dict(params)


class ClassFacts(msgspec.Struct, frozen=True):
    """The faults of one class: how many took effect, how long each lasted, and how they were done."""

    fault_class: str
    """``kill/leader``."""
    kind: str
    role: str
    for_s: tuple[float, ...]
    """One entry an effective fault: effective to healed; ``inf`` for one that is never healed."""
    params: Params
    victims: int = 1
    """Nodes touched by each."""
    through_proxy: bool = False
    turns: tuple[float, ...] = ()
    """Where victims are taken one after the other: how likely the leader is the first, the second... of them; empty: each is as likely."""

    @property
    def count(self) -> int:
        """How many took effect."""
        return len(self.for_s)


class RunFacts(msgspec.Struct, frozen=True):
    """One run's faults and span."""

    span_s: float
    """Observed time, the baseline left out."""
    classes: tuple[ClassFacts, ...]
    shares: dict[str, float] = {}
    """Node -> its measured share of picks while it was in the name's set; empty: uniform."""
