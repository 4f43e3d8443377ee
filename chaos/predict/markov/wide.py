"""The cluster's chain with what a plain one leaves out: zones that fail as a whole, a common cause, and stages with a small spread.

The replicas stand in zones. Each crashes by itself at ``crash_per_s``; a shock takes all nodes of one zone at ``zone_per_s`` (each zone),
and one of all zones at ``all_per_s``. With the beta model of common causes (a share beta of crashes strikes all at once), ask
``with_common_cause``. A failover is made of ``failover_stages`` exponential stages in a row, a restart of ``restart_stages``: m stages
have a cv of 1 / sqrt(m), so the small spread of real time-outs is kept where it matters: in windows, first failures and distributions
of outages; the long run hardly changes. A crew that has begun a restart stays with it. With ``zone_back_per_s`` a zone that fails is
dark first: its nodes are restarted only once it is back. Coverage is that of ``chain``: a leader's crash that is not covered takes
everything to RESET, from which all is whole again at ``reset_per_s``.

Nodes of a zone are alike and so are zones of equal size: states that differ by names alone are one. A shock also undoes restarts
under way in its zone. An election that loses its quorum begins anew when there is one again. All rates in 1/s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.predict.markov.explore import explore

if TYPE_CHECKING:
    from chaos.predict.markov.chain import Solvable
    from chaos.predict.markov.explore import Explored

Zone = tuple[int, tuple[int, ...], int, bool]
"""(voting nodes, down ones by stage of their restart, syncing ones, is the leader here)."""
State = tuple[tuple[Zone, ...], int]
"""All zones, and the stage of the failover (0 where there is a leader or no quorum)."""

RESET: Final[State] = ((), -1)
"""After a crash of the leader that was not covered."""
RATES: Final = ("crash_per_s", "restart_per_s", "resync_per_s", "failover_per_s")


class WideChain(msgspec.Struct, frozen=True):
    """``zones``: how many nodes each zone holds, such as (2, 2, 1)."""

    zones: tuple[int, ...]
    quorum: int
    crash_per_s: float
    restart_per_s: float
    resync_per_s: float
    failover_per_s: float
    zone_per_s: float = 0.0
    all_per_s: float = 0.0
    crews: int | None = None
    failover_stages: int = 1
    restart_stages: int = 1
    zone_back_per_s: float | None = None
    """How fast a zone comes back that failed; None: its nodes are restarted at once, like any other."""
    coverage: float = 1.0
    reset_per_s: float | None = None

    @property
    def nodes(self) -> int:
        return sum(self.zones)

    def checked(self) -> WideChain:
        """Itself; ``BadInput`` if a parameter is outside its domain."""
        if not self.zones or min(self.zones) < 1:
            raise BadInput(f"zones of {self.zones} nodes", right="at least one zone, each of at least one node")
        if not 1 <= self.quorum <= self.nodes:
            raise BadInput(f"a quorum of {self.quorum} is not possible with {self.nodes} nodes", right=f"1 to {self.nodes}")
        if self.crews is not None and self.crews < 1:
            raise BadInput(f"{self.crews} repair crews never finish", right="crews >= 1")
        if self.failover_stages < 1 or self.restart_stages < 1:
            raise BadInput("a delay has at least one stage", right="failover_stages >= 1 and restart_stages >= 1")
        for name in RATES:
            rate: float = getattr(self, name)
            if not (rate > 0 and math.isfinite(rate)):
                raise BadInput(f"{name} is {rate}", right="a rate is > 0, finite and in 1/s")
        if not 0.0 <= self.coverage <= 1.0:
            raise BadInput(f"a coverage of {self.coverage} is not a probability", right="0 to 1")
        if self.coverage < 1.0 and self.reset_per_s is None:
            raise BadInput("a coverage below 1 needs reset_per_s: how fast the cluster returns from an uncovered crash")
        for name in ("zone_back_per_s", "reset_per_s"):
            back: float | None = getattr(self, name)
            if back is not None and not (back > 0 and math.isfinite(back)):
                raise BadInput(f"{name} is {back}", right="a rate is > 0, finite and in 1/s")
        for name in ("zone_per_s", "all_per_s"):
            shock: float = getattr(self, name)
            if not (shock >= 0 and math.isfinite(shock)):
                raise BadInput(f"{name} is {shock}", right="a rate of shocks is >= 0, finite and in 1/s")
        return self

    def with_common_cause(self, beta: float) -> WideChain:
        """The same nodes, of whose crashes a share ``beta`` strikes all at once: (1 - beta) l each, and one shock at beta l."""
        if not 0.0 <= beta < 1.0:
            raise BadInput(f"a common-cause share of {beta}", right="0 to below 1")
        return msgspec.structs.replace(self, crash_per_s=(1 - beta) * self.crash_per_s, all_per_s=self.all_per_s + beta * self.crash_per_s)

    def explored(self) -> Explored[State]:
        """Its states and rates."""
        self.checked()
        return explore(self._whole(), self._moves)

    def _whole(self) -> State:
        whole = tuple((size, (0,) * self.restart_stages, 0, place == 0) for place, size in enumerate(self.zones))
        return self._alike(whole, 0)

    def solvable(self, reads: bool = False) -> Solvable:
        """For the measures; up is what writes need (a leader), or with ``reads`` one node that runs."""
        return self.explored().solvable(_reads if reads else _writes)

    def _alike(self, zones: tuple[Zone, ...], stage: int) -> State:
        """The same state with zones of equal size in a fixed order: which is which does not matter."""
        places: dict[int, list[int]] = {}
        for place, size in enumerate(self.zones):
            places.setdefault(size, []).append(place)
        ordered = list(zones)
        for among in places.values():
            for place, zone in zip(among, sorted((zones[place] for place in among), reverse=True), strict=True):
                ordered[place] = zone
        return tuple(ordered), stage

    def _settled(self, zones: tuple[Zone, ...], stage: int) -> State:
        """After a loss: without a quorum there is neither a leader nor an election."""
        if sum(zone[0] for zone in zones) < self.quorum:
            return self._alike(tuple((up, down, syncing, False) for up, down, syncing, _ in zones), 0)
        return self._alike(zones, stage)

    def _moves(self, state: State) -> Iterator[tuple[State, float]]:
        zones, stage = state
        if state == RESET:
            if self.reset_per_s is not None:
                yield self._whole(), self.reset_per_s
            return
        for place, (up, down, syncing, leads) in enumerate(zones):
            fallen = (down[0] + 1, *down[1:])

            def changed(zone: Zone, place: int = place) -> tuple[Zone, ...]:
                return (*zones[:place], zone, *zones[place + 1 :])

            if leads:
                yield self._settled(changed((up - 1, fallen, syncing, False)), 0), self.coverage * self.crash_per_s
                yield RESET, (1.0 - self.coverage) * self.crash_per_s
            followers = up - leads
            if followers:
                yield self._settled(changed((up - 1, fallen, syncing, leads)), stage), followers * self.crash_per_s
            if syncing:
                yield self._alike(changed((up, fallen, syncing - 1, leads)), stage), syncing * self.crash_per_s
                yield self._alike(changed((up + 1, down, syncing - 1, leads)), stage), syncing * self.resync_per_s
            is_dark = not (up or syncing or any(down))
            if is_dark and self.zone_back_per_s is not None:
                yield self._alike(changed(self._fallen(self.zones[place])), stage), self.zone_back_per_s
            if self.zone_per_s and not is_dark:
                yield self._settled(changed(self._struck(self.zones[place])), 0 if leads else stage), self.zone_per_s
            for index, (after, rate) in enumerate(self._repaired(zones, place)):
                joined = syncing + (index == self.restart_stages - 1)
                yield self._alike(changed((up, after, joined, leads)), stage), rate
        if self.all_per_s:
            fallen_zones = (self._fallen(size) if zone != self._dark() else zone for size, zone in zip(self.zones, zones, strict=True))
            yield self._settled(tuple(fallen_zones), 0), self.all_per_s
        yield from self._elected(zones, stage)

    def _struck(self, size: int) -> Zone:
        """A zone that has just failed."""
        return self._fallen(size) if self.zone_back_per_s is None else self._dark()

    def _fallen(self, size: int) -> Zone:
        return 0, (size, *(0,) * (self.restart_stages - 1)), 0, False

    def _dark(self) -> Zone:
        """None of its nodes are there, not even to be restarted."""
        return 0, (0,) * self.restart_stages, 0, False

    def _repaired(self, zones: tuple[Zone, ...], place: int) -> Iterator[tuple[tuple[int, ...], float]]:
        """One entry a stage: the zone's down nodes after one has finished that stage, and the rate of it."""
        down = zones[place][1]
        begun = sum(sum(zone[1][1:]) for zone in zones)
        waiting = sum(zone[1][0] for zone in zones)
        free = min(waiting, self.nodes if self.crews is None else self.crews - begun)
        for stage, count in enumerate(down):
            busy = count if stage else free * count / waiting if waiting else 0.0
            after = [*down]
            after[stage] -= 1
            if stage + 1 < self.restart_stages:
                after[stage + 1] += 1
            yield (tuple(after), busy * self.restart_stages * self.restart_per_s) if count else (down, 0.0)

    def _elected(self, zones: tuple[Zone, ...], stage: int) -> Iterator[tuple[State, float]]:
        """One stage of the failover; after the last one each voting node is equally likely to lead."""
        voting = sum(zone[0] for zone in zones)
        if voting < self.quorum or any(zone[3] for zone in zones):
            return
        rate = self.failover_stages * self.failover_per_s
        if stage + 1 < self.failover_stages:
            yield (zones, stage + 1), rate
            return
        for place, (up, down, syncing, _) in enumerate(zones):
            if up:
                yield self._alike((*zones[:place], (up, down, syncing, True), *zones[place + 1 :]), 0), rate * up / voting


def _writes(state: State) -> bool:
    return any(zone[3] for zone in state[0])


def _reads(state: State) -> bool:
    return any(zone[0] + zone[2] >= 1 for zone in state[0])


def stages_for(cv: float, most: int = 50) -> int:
    """How many exponential stages in a row have about this coefficient of variation: 1 / cv^2, at least 1."""
    if not (cv > 0 and math.isfinite(cv)):
        raise BadInput(f"a cv of {cv}", right="above 0")
    return max(1, min(most, round(1.0 / cv**2)))
