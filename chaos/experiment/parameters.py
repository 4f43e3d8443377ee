"""The parameters of the models that a target declares or an experiment overrides, and how each is written.

In YAML a name goes without its unit (``heartbeat: 100ms``), in code with it (``heartbeat_s``). A value is one quantity or a
uniform range ``[150ms, 300ms]``, kept as the text ``150ms..300ms`` until the settings of the experiment are filled in.
"""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.core import units
from chaos.core.errors import BadInput
from chaos.experiment.forms import Form, known, listed, string
from chaos.experiment.schema import Schema, Shapes, anchored, any_of, array
from chaos.experiment.source import Listing, Value
from chaos.experiment.source import text as text_of

RANGE: Final = ".."


class Known(msgspec.Struct, frozen=True):
    """One parameter: the unit of its value in code (``s`` or ``1``), or the words it may be."""

    about: str
    unit: str = "s"
    words: tuple[str, ...] = ()
    whole: bool = False
    """A count: 1, 2, 3, ..."""
    none: bool = False
    """A count that may be 0."""
    positive: bool = False
    below: float = float("inf")
    share: bool = False
    """From 0 to 1, or 0% to 100%."""


KNOWN: Final = {
    "replication": Known("who must have a write before it is acknowledged", "", ("quorum", "none", "async", "all")),
    "replication_lag": Known("by how much replicas of an asynchronous primary lag behind it"),
    "replicas_needed": Known("replicas that an asynchronous primary must be in touch with to take a write", "1", whole=True, none=True),
    "without_replicas": Known("what it does with a write while there are fewer", "", ("refuse", "hang")),
    "replicas_lag": Known("how old the last word of a replica may be for it to count"),
    "replicas_tick": Known("time between two words of a replica, and between two looks of the primary at them"),
    "heartbeat": Known("time between heartbeats", positive=True),
    "beat_lateness": Known("how much later than the quickest a beat comes, on average"),
    "beat_loss": Known("share of beats that never come", "1", below=1.0, share=True),
    "misses": Known("heartbeats that must be missed before a node is suspected", "1", whole=True),
    "timeout": Known("further time before a silent node is suspected"),
    "close_detection": Known("from a closed connection to a dead process until it is given up"),
    "close_election": Known("range of the randomised time-out that a closed connection to the leader starts"),
    "election_timeout": Known("range of the randomised election time-out"),
    "lease": Known("how long a leader's key outlives its last renewal", positive=True),
    "lease_renewal": Known("time between two renewals of that key", positive=True),
    "lease_retry": Known("how long a leader tries to renew its key before it gives up by itself"),
    "replaced": Known("from the end of a cut until a leader that was replaced meanwhile has been told so"),
    "pre_vote": Known("whether a node that was cut off asks if it could win before it stands", "", ("true", "false")),
    "watchers": Known("who watch the leader from outside", "1", whole=True),
    "watchers_needed": Known("how many of them must have given it up", "1", whole=True),
    "watchers_tick": Known("time between two looks of a watcher at its connections and clocks"),
    "takeover": Known("from giving a leader up until another one takes writes"),
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
    "respawn": Known("from the death of a serving process until the node's main process has started another one"),
    "other_way": Known("from the cut of one network until nodes talk to each other on another one"),
    "promotion": Known("from the last word of a lost data centre until the second one may take over"),
    "zone_outage": Known("how long a zone that fails stays away", positive=True),
    "back_off": Known("first wait of the runtime before it starts a dead node again, doubled after each further death", positive=True),
    "back_off_most": Known("longest such wait", positive=True),
    "back_off_forgets": Known("time without a death after which the runtime waits for nothing again", positive=True),
    "back_off_look": Known("time between two looks of the runtime at whether the wait is over"),
    "back_off_tick": Known("time between two ticks of the runtime at which such looks are made"),
    "probes_look": Known("whether a readiness probe that finds a node dead makes the runtime look at once", "", ("false", "true")),
    "death_seen": Known("from the death of a process until the runtime has noticed it"),
    "ready_needs": Known("what stands behind a node that calls itself ready: itself, or a leader with its quorum", "", ("node", "quorum")),
    "readiness_every": Known("time between two readiness probes, where the name follows them", positive=True),
    "readiness_timeout": Known("time-out of one readiness probe"),
    "readiness_fall": Known("readiness probes in a row that must fail until a node is not ready", "1", whole=True),
    "readiness_rise": Known("readiness probes in a row that must succeed until it is ready", "1", whole=True),
    "name_lag": Known("from a node that is ready, or no more, until answers of the name follow"),
    "name_ttl": Known("time to live of the name's answers, where it is not ours to set"),
    "name_leads_to": Known("whether the runtime's own name lists the nodes, or leads to one address of all", "", ("nodes", "one-address")),
    "name_cache": Known("how long the name's own server keeps an answer, where clients keep none"),
    "machine_grace": Known("how long the runtime waits for the word of a silent machine until its nodes are not ready"),
    "machine_word": Known("time between two words of a machine"),
    "machine_look": Known("time between two looks at when machines gave their last word"),
    "eviction": Known("from a silent machine's nodes being not ready until they are given up and started elsewhere"),
    "name_eviction": Known("the same of the servers of the runtime's name; without it they are given up as the nodes are"),
    "ending_lag": Known("from the order to give a node up until its process is asked to end"),
    "grace": Known("how long a node that is given up may take to end, from the order on; then it is killed"),
    "successor": Known("when the next one is made in the place of a node that is given up", "", ("after-death", "at-once")),
    "successor_data": Known("whether the next one has the data of a node that is given up", "", ("kept", "lost")),
    "successor_place": Known(
        "whether the next one may stand on another machine, or waits for that of a node that is given up", "", ("any", "same-machine")
    ),
    "replacement": Known("from the death of a node that is given up until the process of the next one in its place is started"),
    "name_restart": Known("from the start of a machine's processes until a server of the runtime's name that stands there answers"),
    "name_again": Known("from the return of a machine that was missed until that name's servers there are asked again"),
    "boot": Known("from a machine's power until the processes of its nodes are started"),
    "leaderless": Known("what a node without a leader does with a write", "", ("refuse", "hang", "resend")),
    "leaderless_reads": Known("what it does with a read that needs one", "", ("as-writes", "refuse", "hang", "resend")),
    "reads": Known("who answers a read", "", ("quorum", "local", "leader")),
    "routing": Known("how clients come to the leader: by the name, or found by themselves", "", ("name", "leader")),
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
    each = KNOWN[key]
    if each.words:
        if text not in each.words:
            raise BadInput(f"'{text}' is not a choice here", right=f"one of: {', '.join(each.words)}")
        at = float(each.words.index(text))
        return Given(key, each.unit, at, at, text)
    ends = [_number(end.strip(), each) for end in text.split(RANGE, 1)]
    if ends[0] > ends[-1]:
        raise BadInput(f"the range '{text}' ends before it begins", right="[low, high]")
    return Given(f"{key}_s" if each.unit == "s" else key, each.unit, ends[0], ends[-1])


def form(*, templates: bool) -> Form[dict[str, str]]:
    """Parameters by their names, as text; with ``templates`` a setting of the target may stand for any of them, and is filled in later."""
    return known("parameter", lambda: {name: _parameter(each, name, templates=templates) for name, each in KNOWN.items()})


_ENDS: Final = listed(string(), example="[150ms, 300ms]", least=2, most=2, few="a range has two ends")
_FILLED_IN: Final[Schema] = {"type": "string", "pattern": r"\{"}
"""Text of a target in which a setting is still to be filled in."""


def _parameter(each: Known, name: str, *, templates: bool) -> Form[str]:
    """A word, a quantity or number, or the two ends of a range."""

    def read_text(value: Value) -> str:
        written = RANGE.join(_ENDS.read(value)) if isinstance(value, Listing) else text_of(value)
        if not templates:
            try:
                read(name, written)
            except BadInput as refusal:
                raise BadInput(refusal.message, place=value.place, right=refusal.right) from None
        return written

    return Form(read_text, lambda shapes: _describe(shapes, each, [_FILLED_IN] if templates else [])).said(each.about)


def _describe(shapes: Shapes, each: Known, later: list[Schema]) -> Schema:
    if each.words:
        return any_of({"enum": list(each.words)}, *later)
    if each.unit != "s":
        plain: Schema = {"type": ["number", "string"]}
        return any_of(plain, _range(plain))
    amount = units.pattern(units.DURATION, "more than 0" if each.positive else "at least 0")
    spread: Schema = {"type": "string", "pattern": anchored(rf"{amount}(?:\.\.{amount})?")}
    end = any_of({"type": "string", "pattern": anchored(amount)}, *later)
    return shapes.define(f"parameter-duration{', more than 0' if each.positive else ''}", any_of(spread, _range(end), *later))


def _range(end: Schema) -> Schema:
    return array(end, minItems=2, maxItems=2)


def _number(text: str, each: Known) -> float:
    try:
        in_percent = each.share and text.endswith("%")
        value = units.duration_s(text) if each.unit == "s" else units.ratio(text) if in_percent else float(text)
    except units.WrongUnit as error:
        message, _, right = str(error).partition("; ")
        raise BadInput(message, right=right) from None
    except ValueError:
        raise BadInput(
            f"'{text}' is not a number", right="write it like 99%" if each.share else "write it like 3, without a unit"
        ) from None
    if each.whole and not ((0 if each.none else 1) <= value < float("inf") and value == round(value)):
        raise BadInput(f"'{text}' is no count", right="0, 1, 2, ..." if each.none else "1, 2, 3, ...")
    if each.share and each.below > 1 and not value <= 1:
        raise BadInput(f"'{text}' is out of range", right="0% to 100%")
    if not 0 <= value < each.below or (each.positive and value == 0):
        limit = "" if each.below == float("inf") else f", below {each.below:g}"
        raise BadInput(f"'{text}' is out of range", right=f"{'above' if each.positive else 'at least'} 0{limit}")
    return value
