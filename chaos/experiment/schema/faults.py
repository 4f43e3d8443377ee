"""The JSON Schema of ``faults``: each entry exactly one fault, or a branch of several; and the keys around it."""

from __future__ import annotations

import sys
from typing import Final

from chaos.core import plugins as tables
from chaos.core.units import DURATION
from chaos.experiment.reading import sequences as loading_branches
from chaos.experiment.reading.faults import NAME
from chaos.experiment.reading.objectives import EXPECTED
from chaos.experiment.reading.sequences import MOST
from chaos.experiment.schema.objectives import objective
from chaos.experiment.schema.pieces import FLAG, WORDS, Schema, anchored, closed, given, listed, or_nothing, ref, said, written
from chaos.experiment.schema.selectors import selector, times, times_rules
from chaos.experiment.schema.structs import Shapes
from chaos.experiment.schema.texts import clean

NAMED: Final[Schema] = WORDS | {"pattern": anchored(NAME.pattern)}
"""What experiments and faults may be called."""
_STEPS: Final[Schema] = ref("steps")
_BRANCH: Final[Schema] = {
    "oneOf": [{"required": [word]} for word in loading_branches.WORDS],
    "if": written("parallel"),
    "then": {"not": given("gap")},
}
"""One after the other or side by side; only the first has gaps."""


def faults(shapes: Shapes) -> Schema:
    """The list of entries."""
    kinds = {kind: _fault(shapes, kind) for kind in tables.loading("faults")}
    one_kind: Schema = {"oneOf": [{"required": [kind]} for kind in kinds]}
    done = _done(shapes)
    around = {"name": said(NAMED, "For the report; the faults of a run are called `NAME.1`, `NAME.2`...")} | times(shapes)
    around["overlap"] = said(or_nothing(FLAG), "Does not wait for the cluster to settle, and is a class of its own", default=False)
    branch = {
        "sequence": said(_STEPS, "Faults that are done one after the other"),
        "parallel": said(_STEPS, "Faults that are done side by side"),
        "gap": said(or_nothing(shapes.quantity(DURATION, "at least 0")), "From the end of a step to the begin of the next"),
    }
    several = written(*loading_branches.WORDS)
    shapes.define("steps", listed(ref("step")) | {"minItems": 2, "maxItems": MOST})
    shapes.define("step", {"if": several, "then": closed(branch) | _BRANCH, "else": closed(kinds | done) | one_kind})
    whole = closed(branch | around) | _BRANCH | {"allOf": times_rules()}
    single = closed(kinds | done | around) | one_kind | {"allOf": times_rules()}
    return listed(shapes.define("entry", {"if": several, "then": whole, "else": single}))


def _fault(shapes: Shapes, kind: str) -> Schema:
    """Its fields; no value at all where none is needed (``pause:``)."""
    cls = tables.find("faults", kind)
    fields = shapes.table(cls)
    whole = sys.modules[cls.__module__].__doc__ or ""
    own = fields.pop("description", "")
    # A file with one fault says what it is on top; one with several says so of each.
    about = f"{clean(whole)} {own}".strip() if whole.startswith(f"``{kind}``") else own
    return shapes.define(f"fault-{kind}", said(fields if fields.get("required") else or_nothing(fields), about))


def _done(shapes: Shapes) -> dict[str, Schema]:
    """To whom it is done, for how long, and what is expected of it."""
    expected = closed({measure: objective(shapes, measure) for measure in EXPECTED})
    return {
        "target": said(or_nothing(shapes.define("selector", selector(shapes))), "To whom"),
        "for": said(or_nothing(shapes.quantity(DURATION, "more than 0")), "For how long; then it is healed. Without it, to the end"),
        "expect": said(or_nothing(expected), "What must hold for this fault: an objective of its own"),
    }
