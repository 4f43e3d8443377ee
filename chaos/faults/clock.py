"""``clock``: the wall clock of a node is wrong. Nobody else's is, least of all the host's, and its monotonic clock stays true.

    jump      it is off by ``offset`` at once, and by as much back at the end
    skew      it runs at ``rate``: 110% gains a second in ten; at the end it jumps back to the true time
    strobe    it jumps between the true time and ``offset`` each ``every``

That is what happens when an administrator or a time server sets a clock: time-outs that are counted on the monotonic clock go on, and
whatever takes the wall clock for a measure of time (leases, time to live, certificates, last-write-wins) goes wrong. The node's
processes read their clock through a preloaded libfaketime from their start, if the plan has such a fault; one that cannot be given
another time (written in Go, or statically linked) is refused before the first fault. A restart keeps the false time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, ClassVar, Literal

import msgspec

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns, to_s
from chaos.core.errors import FaultNotEffective
from chaos.core.units import PERCENT, Seconds, SignedSeconds
from chaos.core.values import ClockReading, Evidence, Status, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import evidence as proof
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, ReadsClocks, Scene, SetsClock
from chaos.query.clock import question_of, resolution_s
from chaos.runtimes.base import faketime

TIMEOUT_S = 0.5
BEST_OF = 3
"""So many questions, of which the quickest answer counts: it bounds the reading best."""
LEAST_OFFSET_S = 0.1
LEAST_RATE = 0.01
"""What is nearer to a true clock could not be told from the time that the question takes."""
LEAST_EVERY_S = 0.1
DATE_OFFSET_S = 3.0
TOLERANCE_S = 0.05
SEEN_WITHIN_S = 3.0
LOOK_EVERY_S = 0.05


class Clock(Fault, frozen=True, forbid_unknown_fields=True):
    """How it is wrong, and by how much."""

    mode: Literal["jump", "skew", "strobe"] = "jump"
    offset_s: SignedSeconds | None = None
    rate: Annotated[float, msgspec.Meta(gt=0, extra={"unit": PERCENT})] | None = None
    every_s: Seconds | None = None

    pings: ClassVar[bool] = False
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "Write `+0.000000 x1.000000` into the file `now` of the node's clock (in the run folder below `clocks/`; in a container "
        "below `/.nines-clock/`). It is healed when the node's clock agrees with this machine's."
    )

    def __post_init__(self) -> None:
        """Each mode has its own fields; what could not be seen is refused."""
        if self.mode == "skew":
            if self.rate is None or self.offset_s is not None:
                raise ValueError("'mode: skew' needs 'rate', such as 110%, and no 'offset'")
            if abs(self.rate - 1) < LEAST_RATE or not 0.1 <= self.rate <= 10:
                raise ValueError("a 'rate' between 99% and 101% cannot be seen in time; below 10% or above 1000% it is no clock any more")
        elif self.offset_s is None or self.rate is not None:
            raise ValueError(f"'mode: {self.mode}' needs 'offset', such as 5s or -1h, and no 'rate'")
        elif abs(self.offset_s) < LEAST_OFFSET_S:
            raise ValueError(f"an 'offset' below {LEAST_OFFSET_S * 1e3:g}ms cannot be told from the time that the question takes")
        if self.every_s is not None and self.mode != "strobe":
            raise ValueError("'every' belongs to 'mode: strobe'")
        if self.every_s is not None and self.every_s < LEAST_EVERY_S:
            raise ValueError(f"'every' is at least {LEAST_EVERY_S * 1e3:g}ms")

    @property
    def needs(self) -> frozenset[Capability]:
        """Processes that read their clock through a library."""
        return frozenset({Capability.OWN_CLOCK, *([Capability.CLOCK_RATE] if self.mode == "skew" else [])})

    def target_lacks(self, target: Target) -> str | None:
        """Its answers must tell the time."""
        if any(question_of(target, part) is None for part in target.parts):
            return f"nothing that '{target.name}' answers tells its time: declare 'clock: {{http: ..., json: ...}}' in its target.yaml"
        if resolution_s(target) and (self.mode == "skew" or abs(self.offset_s or 0.0) < DATE_OFFSET_S):
            return (
                f"'{target.name}' declares no 'clock', and the 'Date' of its answers has whole seconds: it shows jumps of "
                f"{DATE_OFFSET_S:g}s and more, and no rate"
            )
        return None

    def lacks_here(self, target: Target) -> str | None:
        """Plain processes need the library here, and programs that can be deceived; in an image both are asked when they run."""
        if faketime.find() is None:
            return f"there is no {faketime.NAME} on this machine: {faketime.HOW}"
        for part in target.parts.values():
            why = faketime.refusal(part.local.command[0]) if part.local else ""
            if why:
                return f"the clock of '{target.name}' cannot be set: {why}"
        return None

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Set the clocks; each node's own answer must show it."""
        nodes = {name: _settable(scene, name) for name in victims.nodes}
        before = {name: _reading(scene, name) for name in nodes}
        wrong = [name for name, reading in before.items() if _off(reading)]
        if wrong:
            raise FaultNotEffective(f"the clock of {', '.join(wrong)} is wrong already: two faults of one clock do not add up")
        healed_ns: list[int] = []
        told: proof.Figures = {}
        with ExitStack() as undo:
            set_ns = []
            for name, node in nodes.items():
                undo.enter_context(scene.undo.intent("set right", f"the clock of {name}"))
                undo.callback(lambda node=node: healed_ns.append(node.set_clock(0.0, 1.0)))  # type: ignore[misc]
                set_ns.append(node.set_clock(self.offset_s or 0.0, self.rate or 1.0))
            during = proof.at_once(list(nodes), lambda name: self._seen(scene, name))
            figures = {key: value for found in during.values() for key, value in found.items()}
            strobe = _Strobe(scene, nodes, self.offset_s or 0.0, self.every_s or 1.0) if self.mode == "strobe" else None
            step = strobe.step if strobe else None
            mechanism = f"libfaketime: {self.mode}"
            effect = Effect(min(set_ns), mechanism, _figures(before), figures, lambda: self._gone(scene, victims, told), step=step)
            yield effect
            ended_ns = scene.clock.now_ns()
            last = {name: _reading(scene, name) for name in nodes}
            told |= {f"{key}_at_end": value for key, value in _figures(last).items()}
            if self.mode == "skew":
                told |= {
                    f"{name}.clock_rate_at_end": round(1 + reading.offset_s / to_s(ended_ns - min(set_ns)), 4)
                    for name, reading in last.items()
                    if reading.offset_s is not None
                }
            if strobe is not None:
                told["jumps"] = float(strobe.jumps)
        effect.healed_at_ns = max(healed_ns, default=None)

    def _seen(self, scene: Scene, name: str) -> proof.Figures:
        """Until it shows, or time is up."""
        until_ns = scene.clock.now_ns() + to_ns(SEEN_WITHIN_S)
        first_ns, first = scene.clock.now_ns(), _reading(scene, name)
        while True:
            now_ns, now = scene.clock.now_ns(), _reading(scene, name)
            found = _figures({name: now})
            if first.offset_s is not None and now.offset_s is not None:
                if self.rate is None:
                    if abs(now.offset_s - (self.offset_s or 0.0)) <= now.bound_s + TOLERANCE_S:
                        return found
                elif now_ns > first_ns:
                    gained_s, doubt_s = now.offset_s - first.offset_s, now.bound_s + first.bound_s
                    rate = 1 + gained_s / to_s(now_ns - first_ns)
                    if abs(gained_s) > 3 * doubt_s and abs(rate - self.rate) < 0.5 * abs(self.rate - 1):
                        return found | {f"{name}.clock_rate": round(rate, 4)}
            else:
                first_ns, first = now_ns, now
            if scene.clock.now_ns() >= until_ns:
                said = now.error or f"is {now.offset_s:+.3f} s off"
                raise FaultNotEffective(f"{name}: its clock does not show it ({said})")
            scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(LOOK_EVERY_S))

    def _gone(self, scene: Scene, victims: Victims, told: proof.Figures) -> Evidence:
        """A dead process has no clock; the next one begins with the true time."""
        alive = [name for name in victims.nodes if scene.cluster.nodes[name].status() is not Status.DOWN]
        after = {name: _reading(scene, name) for name in alive}
        off = [
            f"{name} ({reading.error or f'{reading.offset_s:+.3f} s'})"
            for name, reading in after.items()
            if reading.offset_s is None or _off(reading)
        ]
        return Evidence(ok=not off, figures=_figures(after) | told, why=f"not the true time: {', '.join(off)}" if off else "")


class _Strobe:
    """Jumps to and fro; the first jump has been made."""

    def __init__(self, scene: Scene, nodes: dict[str, SetsClock], offset_s: float, every_s: float) -> None:
        self._scene = scene
        self._nodes = nodes
        self._offset_s = offset_s
        self._every_ns = to_ns(every_s)
        self._next_ns = scene.clock.now_ns() + self._every_ns
        self.jumps = 1

    def step(self) -> int:
        """The next jump, if it is due."""
        if self._scene.clock.now_ns() >= self._next_ns:
            for node in self._nodes.values():
                node.set_clock(self._offset_s if self.jumps % 2 == 0 else 0.0, 1.0)
            self.jumps += 1
            self._next_ns = max(self._next_ns + self._every_ns, self._scene.clock.now_ns())
        return self._next_ns


def _off(reading: ClockReading) -> bool:
    return reading.offset_s is not None and abs(reading.offset_s) > reading.bound_s + TOLERANCE_S


def _settable(scene: Scene, name: str) -> SetsClock:
    node = scene.cluster.nodes[name]
    if not isinstance(node, SetsClock):
        raise FaultNotEffective(f"{name} has no clock of its own on this runtime")
    return node


def _reading(scene: Scene, name: str) -> ClockReading:
    if not isinstance(scene.cluster, ReadsClocks):
        raise FaultNotEffective("the nodes of this cluster cannot be asked for their time")
    cluster = scene.cluster
    readings = [cluster.read_clock(name, TIMEOUT_S) for _ in range(BEST_OF)]
    return min(readings, key=lambda reading: (reading.offset_s is None, reading.bound_s))


def _figures(readings: dict[str, ClockReading]) -> proof.Figures:
    figures: proof.Figures = {}
    for name, reading in readings.items():
        figures[f"{name}.clock_offset_s"] = None if reading.offset_s is None else round(reading.offset_s, 6)
        if reading.error:
            figures[f"{name}.clock_error"] = reading.error
        else:
            figures[f"{name}.clock_bound_s"] = round(reading.bound_s, 6)
    return figures
