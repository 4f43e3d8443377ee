"""``down``: the link refuses. Open connections are closed, new ones get a refusal at once, as from a port where nobody listens.

Models a service that is not there for those who come this way, while it is well for all others. Toxiproxy's ``enabled: false``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec

from chaos.core.values import Cut, Link, Victims
from chaos.experiment.target.spec import Target
from chaos.faults.base import streams as toxics
from chaos.plugin import Effect, Scene


class Down(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""

    takes: ClassVar[tuple[str, ...]] = ("links",)
    takes_down: ClassVar[bool] = False
    of_connections: ClassVar[bool] = True

    def missing(self, runtime: str, target: Target) -> str | None:  # noqa: ARG002 - peer links are checked by the plan, which knows them
        """Works wherever links can be cut."""
        return None

    def rules(self, victims: Victims, nodes: Sequence[str]) -> tuple[Cut, ...]:  # noqa: ARG002 - links are named already
        """Every link refuses."""
        return tuple(Cut(link, "reject") for link in victims.links)

    @contextmanager
    def inject(self, scene: Scene, victims: Victims) -> Iterator[Effect]:
        """Close; a question on every link must be refused."""
        with toxics.harm(scene, victims.links, self.rules(victims, ()), self._look, "questions still passed", certain=True) as effect:
            yield effect

    def _look(self, scene: Scene, link: Link) -> toxics.Seen:
        figures, error = toxics.round_trip(scene, link)
        return toxics.Seen(error is not None and "timed out" not in error, figures)
