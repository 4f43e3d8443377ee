"""``reset_peer``: connections are reset (RST), ``timeout`` after the first data on them. A loud failure in the middle of a question.

Models firewalls and balancers that drop state, and crashed peers. Open connections are closed in order rather than reset, since
Toxiproxy decides about a reset when a connection begins: with ``existing: cut`` all of them meet it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos import toxics
from chaos.kinds import Effect, Link, Scene, Toxic, Victims
from chaos.target import Target
from chaos.units import Ratio, Seconds


class ResetPeer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After how long, which way the data goes that wakes it."""

    timeout_s: Seconds = 0.0
    stream: toxics.Stream = "downstream"
    toxicity: Ratio = 1.0
    existing: toxics.Existing = "keep"

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Works wherever links can be proxied; virtual connections are reset at once."""
        if runtime == "fake" and self.timeout_s > 0:
            return "virtual connections are reset at once; leave 'timeout' out, or use the runtime 'local'"
        return None

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        return toxics.rules("reset_peer", {"timeout": self.timeout_s * 1e3}, victims, self.stream, self.toxicity, self.existing)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Reset; a question on every link must meet it."""
        orders = self.rules(victims, ())
        with toxics.harm(scene, victims.links, orders, self._look, "connections were not reset", certain=self.toxicity >= 1) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, error = toxics.round_trip(scene, link, toxics.PING_TIMEOUT_S + self.timeout_s)
        return toxics.Seen(error is not None and "timed out" not in error, figures)
