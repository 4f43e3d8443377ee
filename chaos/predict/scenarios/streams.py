"""``down`` and ``timeout`` of a link: to those who come this way its end is refused, or silent, as behind a partition of that link.

What of them is not modelled has no scenario: a share of the connections (``toxicity``), a link between nodes on which one way still
passes, and a connection that is closed sooner than the client gives up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from chaos.plugin import Model
from chaos.predict.scenarios import partition as partitions
from chaos.predict.scenarios.case import Case, ways
from chaos.predict.scenarios.client import Scenario


def down(case: Case) -> Scenario | None:
    """Refused at once."""
    return partitions.partition(_behaving(case, "reject"))


def timeout(case: Case) -> Scenario | None:
    """Accepted and silent."""
    of, held_s = ways(case), case.number("timeout_s")
    between_nodes = of.opens or of.opened
    if case.number("toxicity", 1.0) < 1 or (between_nodes and case.text("stream", "downstream") != "both"):
        return None
    if 0 < held_s < case.system.client.timeout_s:
        return None
    return partitions.partition(_behaving(case, "drop"))


def _behaving(case: Case, word: str) -> Case:
    return replace(case, facts=msgspec.structs.replace(case.facts, params={**case.facts.params, "behavior": word}))


DOWN: Final = Model(down)
TIMEOUT: Final = Model(timeout)
