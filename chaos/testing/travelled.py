"""The contract of runtimes where a harness has travelled to: ``travelling.py`` has pytest carry out this module there.

What a run needs there (pods, say) stands already, as before a run's harness is started. It is the same for all tests: what one of them
leaves is in the way of the next.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from chaos.api import Ordered
from chaos.core import plugins
from chaos.core.values import Link
from chaos.plugin import Deployment
from chaos.testing.runtimes import RuntimeContract, RuntimeStage

TRAVELLED: Final = "NINES_TRAVELLED"
"""Names the folder that goes back: what was ordered is in it, what tests write goes there."""
ORDERED: Final = "ordered.json"
WITHIN_S: Final = 60.0
"""One test; the image has no other limit."""


def stage(name: str) -> RuntimeStage:
    """That of one test; its folder is called as the run is."""
    kept = Path(os.environ[TRAVELLED])
    ordered = msgspec.json.decode((kept / ORDERED).read_bytes(), type=Ordered)

    def deployment(folder: Path, links: tuple[Link, ...]) -> Deployment:
        folder.mkdir(parents=True, exist_ok=True)
        return Deployment(run=kept.name, folder=folder, plan=msgspec.structs.replace(ordered.plan, links=links), target=ordered.target)

    runtime = plugins.find("runtimes", ordered.plan.runtime)()
    return RuntimeStage(runtime, kept / re.sub(r"\W+", "-", name).strip("-") / kept.name, deployment)


@contextmanager
def limited(within_s: float) -> Iterator[None]:
    """``TimeoutError`` in whatever goes on longer. In the main thread."""

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError(f"the test has not ended within {within_s:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, within_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class TestTravelled(RuntimeContract):
    """As it is."""

    @pytest.fixture
    def stage(self, request: pytest.FixtureRequest) -> Iterator[RuntimeStage]:
        """The runtime of what was ordered, on what stands there."""
        with limited(WITHIN_S):
            yield stage(request.node.name)
