"""Which fault can be done where: what it needs against what each runtime offers, as a table for a terminal and for docs/runtimes.md.

Beside the runtimes stand containers that run already (``cluster: {attach: ...}``): less can be done to them. Virtual nodes are left out.

A field with a list of choices is tried choice by choice, and a target both as an ordinary one and as one that insists on being PID 1,
so that the table also says what only some forms of a fault cannot do. A kernel without some module is found when a plan is made.
"""

from __future__ import annotations

import copy
import functools
import re
import types
from collections.abc import Iterator
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from chaos.core import plugins as tables
from chaos.experiment.target.spec import Target
from chaos.plan.capabilities import loaded, why_not
from chaos.plugin import Fault, Runtime

ATTACHED: Final = "attached"
SAMPLE: Final = "replicated_kv"
"""A target that can do everything that a target can be asked for."""
_SIZES: Final = (1, 1000)
"""One of them is within the bounds of every field that holds a number: shares, seconds, bytes."""
YES: Final = "yes"


class Form(msgspec.Struct, frozen=True):
    """What a runtime cannot do: all of a fault where ``only`` is empty, else what is done with that field, or to that target."""

    only: str
    why: str


class Ability(msgspec.Struct, frozen=True):
    """One fault on one runtime; ``missing`` is empty where it can be done in every form."""

    kind: str
    runtime: str
    missing: tuple[Form, ...]

    @property
    def possible(self) -> bool:
        """In one form at least."""
        return not any(form.only == "" for form in self.missing)

    def __str__(self) -> str:
        if not self.possible:
            return "no: " + next(form.why for form in self.missing if not form.only)
        but = "; ".join(f"{form.only}: {form.why}" for form in self.missing)
        return f"{YES}, but not {but}" if but else YES


def runtimes() -> list[str]:
    """The columns: those in real time, and what the last of them that attaches does to what runs already."""
    return [title for title, _, _ in _places()]


def _places() -> list[tuple[str, type[Runtime], bool]]:
    """(title, runtime, whether its nodes are attached to), column by column."""
    real = [each for each in loaded() if not each.virtual]
    able = [each for each in real if each.attached is not None]
    titled = [(ATTACHED if len(able) == 1 else f"{each.name}, {ATTACHED}", each, True) for each in able]
    return [*((each.name, each, False) for each in real if each.offers), *titled]


def abilities() -> list[Ability]:
    """Every fault of the table of faults on every runtime, kind by kind; those that do not load are left out."""
    from chaos.experiment.target.load import load_target

    target = load_target(SAMPLE)
    return [_ability(kind, *place, target) for kind in tables.loading("faults") for place in _places()]


def markdown() -> str:
    """The table of docs/runtimes.md."""
    found = {(each.kind, each.runtime): each for each in abilities()}
    titles = runtimes()
    lines = ["| fault | " + " | ".join(titles) + " |", "|---" * (1 + len(titles)) + "|"]
    for kind in dict.fromkeys(kind for kind, _ in found):
        cells = [re.sub(r"([|<>])", r"\\\1", str(found[kind, title])) for title in titles]
        lines.append(f"| `{kind}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ability(kind: str, title: str, runtime: type[Runtime], attached: bool, target: Target) -> Ability:
    def why(fault: Fault, on: Target) -> str:
        return why_not(fault, runtime, on, attached=attached)

    whole = sample(tables.find("faults", kind))
    forms = [(only, why(other, target)) for only, other in _other_forms(whole)]
    reason = why(whole, target)
    if reason and not any(not other for _, other in forms):
        return Ability(kind, title, (Form("", reason),))
    # A default that cannot be done while another choice can is one form among others.
    missing = [Form("by itself", reason)] if reason else []
    missing += [Form(only, other) for only, other in forms if other and other != reason]
    pid1 = msgspec.structs.replace(target, pid1=not attached)  # none of those that run already is known to insist on it
    for only, form in [("", whole), *_other_forms(whole)]:
        found = why(form, pid1)
        if found and not why(form, target) and found not in {each.why for each in missing}:
            missing.append(Form(f"{only} on a target with `pid1: true`".strip(), found))
            if not only:
                break
    together: dict[str, list[str]] = {}
    for each in missing:
        together.setdefault(each.why, []).append(each.only)
    return Ability(kind, title, tuple(Form(", ".join(named), found) for found, named in together.items()))


@functools.cache
def _hints(fault: type) -> dict[str, Any]:
    """The types of its fields: the same on each runtime."""
    return get_type_hints(fault)


def _other_forms(whole: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any fault's struct
    """The same fault with another choice in one field, or a name where none was; not built anew: what goes with it does not matter."""
    fault: type[msgspec.Struct] = type(whole)
    for name, hint in _hints(fault).items():
        if get_origin(hint) is Literal:
            for choice in get_args(hint):
                if choice != getattr(whole, name):
                    other = copy.copy(whole)
                    msgspec.structs.force_setattr(other, name, choice)
                    yield f"`{name.removesuffix('_s')}: {choice}`", other
        elif hint is str and not getattr(whole, name):
            other = copy.copy(whole)
            msgspec.structs.force_setattr(other, name, _value(hint, 1))
            yield f"`{name}`", other


def sample(fault: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - any fault's struct
    """One that its own checks accept: what it cannot do without, and one field more if they ask for that."""
    hints = _hints(fault)
    for size in _SIZES:
        values = {field.name: _value(hints[field.name], size) for field in msgspec.structs.fields(fault)}
        needed = {field.name: values[field.name] for field in msgspec.structs.fields(fault) if field.required}
        for more in ({}, *({name: value} for name, value in values.items() if name not in needed), values):
            try:
                return fault(**{**needed, **more})
            except (ValueError, TypeError):
                continue  # these do not go together
    raise AssertionError(f"no {fault.__name__} can be made of samples")


def _value(hint: Any, size: int) -> object:  # noqa: ANN401 - a type hint
    """A value of that type."""
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return _value(next(each for each in get_args(hint) if each is not type(None)), size)
    values: dict[Any, object] = {float: float(size), int: size, str: "n1", bool: True, tuple: ()}
    return values.get(get_origin(hint) or hint)
