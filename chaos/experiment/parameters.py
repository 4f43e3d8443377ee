"""The parameters of the models that a target declares or an experiment overrides, and how each is written.

In YAML a name goes without its unit (``heartbeat: 100ms``), in code with it (``heartbeat_s``). A value is one quantity or a
uniform range ``[150ms, 300ms]``, kept as the text ``150ms..300ms`` until the settings of the experiment are filled in.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.core import units
from chaos.core.errors import BadInput

RANGE: Final = ".."


class Known(msgspec.Struct, frozen=True):
    """One parameter: the unit of its value in code (``s`` or ``1``), or the words it may be."""

    about: str
    unit: str = "s"
    words: tuple[str, ...] = ()
    whole: bool = False
    """A count: 1, 2, 3, ..."""
    positive: bool = False
    below: float = float("inf")
    share: bool = False
    """From 0 to 1, or 0% to 100%."""


KNOWN: Final = {
    "replication": Known("who must have a write before it is acknowledged", "", ("quorum", "none", "async", "all")),
    "replication_lag": Known("by how much replicas of an asynchronous primary lag behind it"),
    "heartbeat": Known("time between heartbeats", positive=True),
    "misses": Known("heartbeats that must be missed before a node is suspected", "1", whole=True),
    "timeout": Known("further time before a silent node is suspected"),
    "close_detection": Known("from a closed connection to a dead process until it is given up"),
    "election_timeout": Known("range of the randomised election time-out"),
    "refused": Known("share of ballots that are lost whoever stands", "1", below=1.0, share=True),
    "round_trip": Known("round trip between two nodes"),
    "restart": Known("from the start of a process until it is ready"),
    "resync": Known("from ready until the node votes again"),
    "resync_empty": Known("the same for a node that comes back without its data"),
    "stop": Known("from asking a node to end until it is dead"),
    "stopping": Known("what a node does that is asked to end", "", ("crash", "handover", "drain")),
    "crews": Known("nodes that are repaired at the same time", "1", whole=True),
    "common_cause": Known("share of crashes that strike all nodes at once", "1", below=1.0, share=True),
    "coverage": Known("share of the leader's crashes that the cluster itself recovers from", "1", share=True),
    "reset": Known("from a leader's crash that is not covered until somebody has brought the cluster back", positive=True),
    "zone_outage": Known("how long a zone that fails stays away", positive=True),
    "leaderless": Known("what a node without a leader does with a write", "", ("refuse", "hang")),
    "reads": Known("who answers a read", "", ("quorum", "local", "leader")),
}
"""Key in YAML -> what it is."""


class Given(msgspec.Struct, frozen=True):
    """A parameter with its value: ``low`` to ``high`` (the same for one value) in ``unit``, or a ``word``."""

    name: str
    """As in code: ``heartbeat_s``."""
    unit: str
    low: float
    high: float
    word: str = ""


def read(key: str, text: str) -> Given:
    """One parameter from its text, settings filled in. Raises ``BadInput`` without a place: the caller knows it."""
    known = KNOWN[key]
    if known.words:
        if text not in known.words:
            raise BadInput(f"'{text}' is not a choice here", right=f"one of: {', '.join(known.words)}")
        at = float(known.words.index(text))
        return Given(key, known.unit, at, at, text)
    ends = [_number(end.strip(), known) for end in text.split(RANGE, 1)]
    if ends[0] > ends[-1]:
        raise BadInput(f"the range '{text}' ends before it begins", right="[low, high]")
    return Given(f"{key}_s" if known.unit == "s" else key, known.unit, ends[0], ends[-1])


def _number(text: str, known: Known) -> float:
    try:
        in_percent = known.share and text.endswith("%")
        value = units.duration_s(text) if known.unit == "s" else units.ratio(text) if in_percent else float(text)
    except units.WrongUnit as error:
        message, _, right = str(error).partition("; ")
        raise BadInput(message, right=right) from None
    except ValueError:
        raise BadInput(
            f"'{text}' is not a number", right="write it like 99%" if known.share else "write it like 3, without a unit"
        ) from None
    if known.whole and not (1 <= value < float("inf") and value == round(value)):
        raise BadInput(f"'{text}' is no count", right="1, 2, 3, ...")
    if known.share and known.below > 1 and not value <= 1:
        raise BadInput(f"'{text}' is out of range", right="0% to 100%")
    if not 0 <= value < known.below or (known.positive and value == 0):
        limit = "" if known.below == float("inf") else f", below {known.below:g}"
        raise BadInput(f"'{text}' is out of range", right=f"{'above' if known.positive else 'at least'} 0{limit}")
    return value
