"""``timeout``: no byte passes any more, and after ``timeout`` the connection is closed; 0 (the default) holds it until the fault ends.

Models a black hole behind a connect that works: new connections are accepted, questions or answers vanish. Only the close of
the other end still passes. When the fault ends, the connections it held are closed, not revived.
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


class Timeout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a connection is held, which way nothing passes."""

    timeout_s: Seconds = 0.0
    stream: toxics.Stream = "downstream"
    toxicity: Ratio = 1.0
    existing: toxics.Existing = "keep"

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Works wherever links can be proxied; virtual connections are held to the end."""
        if runtime == "fake" and self.timeout_s > 0:
            return "virtual connections are held until the fault ends; leave 'timeout' out, or use the runtime 'local'"
        return None

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Toxic, ...]:  # noqa: ARG002 - links are named already
        """One toxic a link and direction of its stream."""
        return toxics.rules("timeout", {"timeout": self.timeout_s * 1e3}, victims, self.stream, self.toxicity, self.existing)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Swallow; no question may be answered on any link."""
        orders = self.rules(victims, ())
        with toxics.harm(scene, victims.links, orders, self._look, "questions were still answered", certain=self.toxicity >= 1) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, error = toxics.round_trip(scene, link)
        return toxics.Seen(error is not None, figures)
