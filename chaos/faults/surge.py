"""``load``: more traffic than usual comes to the cluster's name, beside the traffic that is measured.

Models a surge of demand, a retry storm, a batch job that nobody told you of. It is sent as the measured traffic is (an open loop: what is
due is sent, whatever became of what was sent before; the same client policy, keys of its own), by a second prober. Its slots stand in
``load-1.bin``, ``load-2.bin``... of the run folder and in no figure of the report: what is judged is what the usual clients saw meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from chaos.core.capabilities import Capability
from chaos.core.clock import to_ns
from chaos.core.errors import FaultNotEffective
from chaos.core.units import PerSecond
from chaos.core.values import CLIENTS, Evidence, Sent, Victims
from chaos.faults.base import evidence as proof
from chaos.faults.base.evidence import UNPREDICTED
from chaos.plugin import Effect, Fault, Reference, Scene, SendsSurges, Surge

SHOWS_AFTER_S = 0.3
"""So much of it must have been sent, and ended, before it counts as begun."""
WITHIN_S = 5.0
LOOK_EVERY_S = 0.02
ENOUGH = 0.5
"""The share of what was due in that time that must have been sent."""
MOST_PER_S = 20_000.0


class Load(Fault, frozen=True, forbid_unknown_fields=True):
    """How much more, of which operation (by default of the one that is judged)."""

    rate_per_s: PerSecond
    operation: str = ""

    takes: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SURGES})
    untargeted: ClassVar[bool] = True
    role: ClassVar[str] = CLIENTS
    unpredicted: ClassVar[str] = UNPREDICTED
    by_hand: ClassVar[str] = (
        "End the second sender (`nines stop <run>` ends the whole run). It is healed when the rate is the experiment's own."
    )

    def __post_init__(self) -> None:
        """One prober can do only so much."""
        if self.rate_per_s > MOST_PER_S:
            raise ValueError(f"one prober sends at most some {MOST_PER_S:g}/s: ask for several loads with 'overlap: true'")

    @property
    def names(self) -> tuple[Reference, ...]:
        """The operation is one of the experiment's."""
        return (Reference("operation", "operation", self.operation),) if self.operation else ()

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:  # noqa: ARG002 - it comes to whomever the name leads
        """Begin to send; the prober's own records must show it."""
        if not isinstance(scene.cluster, SendsSurges):
            raise FaultNotEffective("this cluster can be sent no more traffic than was planned")
        before: proof.Figures = {"load.sent_per_s": 0.0}
        told: list[Sent] = []
        with scene.undo.intent("end", f"load of {self.rate_per_s:g}/s"):
            with scene.cluster.surge(self.operation, self.rate_per_s) as surge:
                shown = self._shown(scene, surge)
                mechanism = "a second prober"
                effect = Effect(surge.began_ns, mechanism, before, _figures(shown), lambda: self._gone(surge, told))
                yield effect
            effect.healed_at_ns = scene.clock.now_ns()
            told.append(surge.sent())

    def _shown(self, scene: Scene, surge: Surge) -> Sent:
        until_ns = surge.began_ns + to_ns(WITHIN_S)
        while True:
            found = surge.sent()
            if found.span_s >= SHOWS_AFTER_S and found.sent >= ENOUGH * self.rate_per_s * found.span_s:
                return found
            if scene.clock.now_ns() >= until_ns:
                raise FaultNotEffective(f"{found.sent} requests in {found.span_s:.2f} s instead of {self.rate_per_s:g}/s were sent")
            scene.clock.wait_until_ns(scene.clock.now_ns() + to_ns(LOOK_EVERY_S))

    def _gone(self, surge: Surge, told: list[Sent]) -> Evidence:
        """Nothing is sent any more; the figures are those of the whole surge."""
        whole, now = told[0], surge.sent()
        still = now.sent - whole.sent
        return Evidence(ok=not still, figures=_figures(whole), why=f"{still} more requests have been sent since" if still else "")


def _figures(sent: Sent) -> proof.Figures:
    span_s = sent.span_s or 1.0
    return {
        "load.sent": float(sent.sent),
        "load.sent_per_s": round(sent.sent / span_s, 2),
        "load.ok_per_s": round(sent.ok / span_s, 2),
    }
