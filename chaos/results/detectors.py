"""What the system's own failure detectors made of the faults, beside what clients noticed. Times in s."""

from __future__ import annotations

import msgspec


class Suspected(msgspec.Struct, frozen=True):
    """One fault, as one detector saw it."""

    fault: str
    """Its id."""
    detector: str
    by: list[str]
    """``n2 -> n1``: that n2 suspected n1, in the order of time; one end at least is a victim. Empty: nobody suspected anybody."""
    after_s: float | None
    """From the effect to the first suspicion; None without one."""
    late_s: float
    """How much earlier it may have begun: the time between two questions."""
    cleared_after_s: float | None
    """From the rollback until nobody suspected anybody because of it; 0 if that was so before, None if it was not so by the end."""
    clients_after_s: float | None
    """From the effect to the first failed request of the first outage because of it, of any service; None if no service went down."""
    clients_s: float | None
    """How long the primary service was down because of it; None: not known."""


class Unfounded(msgspec.Struct, frozen=True):
    """A suspicion that no fault explains: both ends were well."""

    detector: str
    by: str
    """``n2 -> n1``: n2 suspected n1."""
    at_s: float
    lasted_s: float
    """To its end, or to the end of the run."""


class Detectors(msgspec.Struct, frozen=True):
    """All detectors of all nodes, over the whole run."""

    names: list[str]
    pairs: int
    """How many (node, other node) each of them watched."""
    faults: list[Suspected]
    unfounded: list[Unfounded]
