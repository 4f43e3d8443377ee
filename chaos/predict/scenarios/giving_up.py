"""``delete`` and ``drain``: nodes that are given up through whoever runs them, and others that take their place.

    asked to end        the name is told at once (as of a node that drains), the node serves until it is dead: ``stop``, the grace at most
    dead                refused, until the next one's process has started (``replacement``) and is ready (``restart``)

That the next one may stand on another machine makes no difference here. Where the next one is made before the last one has ended (a
Deployment's), it is there sooner than this says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from chaos.plugin import Model
from chaos.predict.scenarios import crash
from chaos.predict.scenarios.case import Case
from chaos.predict.scenarios.client import Scenario
from chaos.predict.scenarios.later import delayed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GRACE_S: Final = 30.0
"""A pod's own, where it says nothing else."""
DELETE: Final = "delete"
"""``by`` of a restart that gives nodes up."""


def given_up(case: Case) -> Scenario:
    """All victims at the same moment."""
    gone_s = gone(case)
    # With its death as its moment, it is a kill after which the next one is started by somebody else.
    return delayed(crash.kill(replace(case, for_s=replaced(case)), fails_s=-gone_s), gone_s)


def gone(case: Case) -> Floats:
    """From the request to the death."""
    if case.facts.params.get("forced"):
        return case.zeros()
    return np.minimum(case.optional("stop_s"), case.number("grace_s", GRACE_S))


def replaced(case: Case) -> Floats:
    """From the death until the next one's process has started."""
    return case.draw("replacement_s", "a node that is given up")


MODEL: Final = Model(given_up)
