"""How an operation is written: ``{http: "GET http://...", does: read}``. One key names the probe, all further ones are its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.core import plugins
from chaos.core.errors import BadInput
from chaos.core.plugins import suggest
from chaos.experiment import probe_options, tls_options
from chaos.experiment.forms import Form, Mistakes, choice
from chaos.experiment.schema import NOTHING, TEXT, WORDS, Schema, Shapes, any_of, array, closed, named, ref, said
from chaos.experiment.source import Listing, Scalar, Table, Value, table_of, text
from chaos.experiment.variables import VARIABLE

TARGET_FILE: Final = "target.yaml"
DOES: Final = ("read", "write", "append", "add", "incr")
LATER_PROBES: Final = ("dns", "redis", "postgres", "amqp")
_DOES: Final = choice(DOES)


class OperationKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question to the service. Exactly one probe kind is set: ``probe`` names it, ``options`` are its fields as text."""

    probe: str
    does: str
    """read, write, append, add or incr."""
    options: dict[str, str] = {}


def operation(*, does: str = "", besides: Mapping[str, Form[Any]] | None = None) -> Form[OperationKind]:
    """One operation. ``does`` is the default, if there is one; ``besides`` are keys that somebody else reads."""
    others = besides or {}
    return Form(lambda value: _read(table_of(value), does, others), lambda shapes: _describe(shapes, does, others))


def _read(entry: Table, does: str, besides: Collection[str]) -> OperationKind:
    mistakes = Mistakes()
    probes = [key for key in entry.entries if key in plugins.names("probes")]
    for later in [key for key in entry.entries if key in LATER_PROBES and key not in probes]:
        right = f"exactly one of: {', '.join(plugins.names('probes'))}"
        raise BadInput(f"the probe '{later}' is not supported yet", place=entry.entries[later].place, right=right)
    if len(probes) != 1:
        what, right = "several probes" if probes else "no probe", f"exactly one of: {', '.join(plugins.names('probes'))}"
        raise BadInput(f"{what} in this operation", place=entry.place, right=right)
    probe, kind = probes[0], does
    if "does" in entry.entries or not does:
        kind = mistakes.of(_does, entry) or ""
    options = {"what": mistakes.of(option, entry.entries[probe]) or ""}
    options |= _options(entry, probe, {probe, "does", *besides}, mistakes)
    mistakes.tell()
    return OperationKind(probe=probe, does=kind, options=options)


def _does(entry: Table) -> str:
    return _DOES.read(entry.need("does", "does: read"))


def _options(entry: Table, probe: str, besides: Collection[str], mistakes: Mistakes) -> dict[str, str]:
    """The further keys; those that the probe does not say it has are refused."""
    known = probe_options.options_of(probe)
    names = None if known is None else [name for name in known if name != probe_options.WHAT]
    found = {}
    for key, value in entry.entries.items():
        if key in besides:
            continue
        if names is not None and key not in names:
            mistakes.found.append(BadInput(f"unknown option '{key}'", place=value.place, right=suggest(key, names)))
        else:
            read = headers if key == "headers" else secret if key in SECRETS else beside if key in tls_options.FILES else option
            found[key] = mistakes.of(read, value) or ""
    return found


def option(value: Value) -> str:
    """A probe's option as text: a list as one command line (quoted as a shell would), a table as ``key: value; key: value``."""
    match value:
        case Scalar():
            return value.text
        case Listing():
            return shlex.join(text(item) for item in value.items)
        case Table():
            return "; ".join(f"{key}: {text(item)}" for key, item in value.entries.items())


def headers(value: Value) -> str:
    """Headers as text, one a line: a list of them, a table of names and values, or a text as it stands.

    What was a list or a table ends in a line end, so that a value with a semicolon in it is never taken for two headers.
    """
    match value:
        case Scalar():
            return secret(value)
        case Listing():
            lines = [(secret(_there(item)), item) for item in value.items]
        case Table():
            lines = [(f"{name}: {secret(_there(item))}", item) for name, item in value.entries.items()]
    for line, item in lines:
        if "\n" in line.strip() or "\r" in line:
            raise BadInput("a header holds a line end", place=item.place, right="one item for each header")
    return "".join(f"{line.strip()}\n" for line, _ in lines)


def beside(value: Value) -> str:
    """The name of a file: of a target, relative to its folder, which may move; of an experiment, where it lies now."""
    named = text(value, "the name of a file")
    file = Path(value.place.file)
    fixed = file.name == TARGET_FILE or named.startswith(("/", "{"))
    return named if fixed else str((file.parent / named).absolute())


def _there(value: Value) -> Value:
    text(value)  # refuses what is no text, or empty
    return value


SECRETS: Final = ("basic", "bearer")
"""Options of probes whose variables are secrets, as those of ``headers`` are."""


def secret(value: Value) -> str:
    """A text in which ``${NAME}`` stays a name, as ``${env:NAME}`` does: its value is filled in by the probe, and stands in no file."""
    if isinstance(value, Scalar) and value.written:
        return VARIABLE.sub(lambda match: _named(match, value), value.written)
    return value.text if isinstance(value, Scalar) else text(value)


def _named(match: re.Match[str], value: Value) -> str:
    if match[2] is not None:
        raise BadInput(f"'{match[0]}' has a default where a secret may stand", place=value.place, right=f"${{{match[1]}}}")
    return match[0].removeprefix("$") if match[1] is None else f"${{env:{match[1]}}}"


OPTION: Final = Form(option, any_of(TEXT, NOTHING, array(WORDS), named(WORDS))).shared("option")
"""Of a probe, or of a step: text; a list is one command line, a table is ``key: value; key: value``."""


def _describe(shapes: Shapes, does: str, besides: Mapping[str, Form[Any]]) -> Schema:
    """Exactly one probe, with the options that it says it has; or what stands beside them alone."""
    anything = OPTION.describe(shapes)
    probes = {probe: said(ref("option"), f"Asked by the probe {probe}") for probe in plugins.names("probes")}
    beside = {key: form.describe(shapes) for key, form in besides.items()}
    properties = probes | {"does": said(_DOES.describe(shapes), "What it does to the data")} | beside
    choices = [*(_asked_by(probe, ["does", *besides]) for probe in probes), *([{"maxProperties": len(besides)}] if besides else [])]
    required = [*([] if does else ["does"]), *besides]
    return closed(properties, required) | {"oneOf": choices, "additionalProperties": anything}


def _asked_by(probe: str, besides: Collection[str]) -> Schema:
    """An operation of this probe, and no options but its own."""
    options = probe_options.options_of(probe)
    schema: Schema = {"required": [probe]}
    if options is None:
        return schema
    about = {name: {"description": told} for name, told in options.items() if name != probe_options.WHAT}
    return schema | {"properties": about, "propertyNames": {"enum": [probe, *besides, *about]}}
