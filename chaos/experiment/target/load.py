"""From a target's folder to a ``Target``: finding it by name or path, reading ``target.yaml``, checking it through.

Templates are checked with the default settings, so that an unknown ``{name}`` is found when the target is loaded, with its
line, and not when a node fails to start.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from chaos.core import plugins as tables
from chaos.core.errors import BadInput, Place
from chaos.experiment import parameters, probe_options
from chaos.experiment.decode import boolean, integer, struct, texts
from chaos.experiment.source import Listing, Scalar, Table, Value, parse, read_text, suggest, table, text
from chaos.experiment.target import templates
from chaos.experiment.target.check import check, defaults
from chaos.experiment.target.spec import Ask, LocalTraits, OperationKind, Part, Setting, Target

FILE: Final = "target.yaml"
SCHEMA: Final = 1
MOST_NAME: Final = 1000
DOES: Final = ("read", "write", "append", "add", "incr")
LATER_PROBES: Final = ("dns", "redis", "postgres", "amqp")
_KEYS: Final = (
    "schema", "target", "about", "settings", "parts", "init", "roles", "marks", "clock", "operations", "read_node", "model", "pid1",
    "local",
)  # fmt: skip


# --- finding -----------------------------------------------------------------------------------------------------------


def search_path() -> list[Path]:
    """The folders in which a target is looked for by its name, first match wins; only those that exist."""
    package = Path(__file__).resolve().parents[2]
    extra = [Path(one) for one in os.environ.get("NINES_TARGETS", "").split(os.pathsep) if one]
    folders = [Path("targets"), *extra, package.parent / "targets", package / "_shipped" / "targets"]
    return [folder for folder in folders if folder.is_dir()]


def known_targets() -> list[Target]:
    """Every target that can be named, sorted by name; one that does not load raises ``BadInput``."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for file in sorted(folder.glob(f"*/{FILE}")):
            found.setdefault(file.parent.name, file.parent)
    return [_load(found[name]) for name in sorted(found)]


def load_target(name_or_path: str, *, beside: Path | None = None, place: Place | None = None) -> Target:
    """A target by name, or by the path of its folder, relative to the folder ``beside`` (the experiment's) or the current one.

    ``place`` is where the name is written, for the message if there is no such target.
    """
    if len(name_or_path) > MOST_NAME or "\0" in name_or_path:
        raise BadInput(
            f"'{name_or_path}' is neither the name nor the path of a target", place=place, right="such as replicated_kv, or ./shelf"
        )
    named = Path(name_or_path)
    if len(named.parts) == 1 and not name_or_path.startswith("."):
        for folder in search_path():
            if (folder / named / FILE).is_file():
                return _load(folder / named)
    tried = [base / named for base in ([beside] if beside else []) + [Path()]]
    for path in tried:
        try:
            if path.name == FILE and path.is_file():
                return _load(path.parent)
            if (path / FILE).is_file():
                return _load(path)
        except OSError as error:
            raise BadInput(f"'{name_or_path}' cannot be looked at: {error.strerror}", place=place) from error
    if len(named.parts) > 1 or name_or_path.startswith("."):
        raise BadInput(f"there is no {FILE} in '{name_or_path}'", place=place, right="the path of a folder that holds one")
    names = sorted({file.parent.name for folder in search_path() for file in folder.glob(f"*/{FILE}")})
    raise BadInput(f"unknown target '{name_or_path}'", place=place, right=suggest(name_or_path, names) if names else "a path to a folder")


# --- reading -----------------------------------------------------------------------------------------------------------


def _load(folder: Path) -> Target:
    file = folder / FILE
    return parse_target(read_text(file), str(file), folder)


def parse_target(content: str, file: str, folder: Path) -> Target:
    """The target from the text of its ``target.yaml``."""
    root = parse(content, file)
    root.only(_KEYS)
    if integer(root.need("schema", "schema: 1")) != SCHEMA:
        raise BadInput("this version of Nines reads schema 1", place=root.entries["schema"].place, right="schema: 1")
    settings = {name: struct(value, Setting) for name, value in _entries(root, "settings")}
    parts = {name: struct(value, Part) for name, value in table(root.need("parts"), "the parts").entries.items()}
    if not parts:
        raise BadInput("there is no part", place=root.entries["parts"].place, right="at least one, such as 'data'")
    marks_ask, marks = _marks(root)
    read_node = root.get("read_node")
    local = root.get("local")
    target = Target(
        name=text(root.need("target", "target: etcd")).strip(),
        folder=str(folder.resolve()),
        about=text(about) if (about := root.get("about")) else "",
        settings=settings,
        parts=parts,
        operations={name: operation(table(value)) for name, value in _entries(root, "operations")},
        roles={name: _role(value, parts) for name, value in _entries(root, "roles")},
        marks=marks,
        marks_ask=marks_ask,
        clock=struct(clock, Ask) if (clock := root.get("clock")) else None,
        init=_init(root.get("init")),
        read_node=operation(table(read_node), does="read") if read_node else None,
        model={name: _model(name, value, settings) for name, value in _entries(root, "model")},
        pid1=boolean(pid1) if (pid1 := root.get("pid1")) else False,
        local=struct(local, LocalTraits) if local else LocalTraits(),
    )
    check(root, target)
    return target


def operation(entry: Table, *, does: str | None = None, besides: Collection[str] = ()) -> OperationKind:
    """``{http: "GET http://...", does: read}``: exactly one key names the probe, all further ones are its options, as text.

    The probe key's own value is the option ``what``. ``does`` is the default, if there is one; ``besides`` are keys that the
    caller reads.
    """
    probes = [key for key in entry.entries if key in tables.names("probes")]
    for later in set(entry.entries) & set(LATER_PROBES) - set(probes):
        raise BadInput(f"the probe '{later}' is not supported yet", place=entry.entries[later].place, right=_one_probe())
    if len(probes) != 1:
        what = "several probes" if probes else "no probe"
        raise BadInput(f"{what} in this operation", place=entry.place, right=_one_probe())
    kind = text(entry.need("does", "does: read")) if does is None or "does" in entry.entries else does
    if kind not in DOES:
        raise BadInput(f"'{kind}' is not a choice here", place=entry.entries["does"].place, right=suggest(kind, DOES))
    known = probe_options.options_of(probes[0])
    if known is not None:
        names = [name for name in known if name != probe_options.WHAT]
        for key in set(entry.entries) - {probes[0], "does", *besides, *names}:
            raise BadInput(f"unknown option '{key}'", place=entry.entries[key].place, right=suggest(key, names))
    rest = {
        key: headers(value) if key == "headers" else option(value)
        for key, value in entry.entries.items()
        if key not in (*probes, "does", *besides)
    }
    return OperationKind(probe=probes[0], does=kind, options={"what": option(entry.entries[probes[0]]), **rest})


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
            return value.text
        case Listing():
            lines = [(text(item), item) for item in value.items]
        case Table():
            lines = [(f"{name}: {text(item)}", item) for name, item in value.entries.items()]
    for line, item in lines:
        if "\n" in line.strip() or "\r" in line:
            raise BadInput("a header holds a line end", place=item.place, right="one item for each header")
    return "".join(f"{line.strip()}\n" for line, _ in lines)


def _one_probe() -> str:
    return f"exactly one of: {', '.join(tables.names('probes'))}"


def _entries(root: Table, key: str) -> Iterator[tuple[str, Value]]:
    value = root.get(key)
    if value is not None:
        yield from table(value).entries.items()


def _role(value: Value, parts: dict[str, Part]) -> Ask:
    """A question, or the word ``ready``: the part's own question whether a node is."""
    if isinstance(value, Table):
        return struct(value, Ask)
    if text(value) != "ready":
        raise BadInput(f"'{text(value)}' is not a question", place=value.place, right="'ready', or {http: ..., json: ...}")
    asks = [part.ready.ask for part in parts.values()]
    if any(ask != asks[0] for ask in asks):
        raise BadInput("the parts have different 'ready' questions", place=value.place, right="write the question out")
    return asks[0]


def _marks(root: Table) -> tuple[Ask | None, dict[str, str]]:
    value = root.get("marks")
    if value is None:
        return None, {}
    entry = table(value)
    entry.only(("ask", "values"))
    values = table(entry.need("values"))
    return struct(entry.need("ask", "ask: {http: ...}"), Ask), {name: text(path) for name, path in values.entries.items()}


def _init(value: Value | None) -> tuple[dict[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Listing):
        raise BadInput("'init' is a list of steps", place=value.place, right="[{node: n1, command: ...}]")
    return tuple({key: option(inner) for key, inner in table(step).entries.items()} for step in value.items)


def _model(name: str, value: Value, settings: dict[str, Setting]) -> str:
    if name not in parameters.KNOWN:
        raise BadInput(f"unknown parameter '{name}'", place=value.place, right=suggest(name, parameters.KNOWN))
    written = model_text(value)
    with_defaults = templates.Context(node="", address="", ports={}, settings=defaults(settings))
    try:
        parameters.read(name, templates.fill(written, with_defaults))
    except BadInput as refusal:
        raise BadInput(refusal.message, place=value.place, right=refusal.right) from None
    return written


def model_text(value: Value) -> str:
    """One value, or the two ends of a range."""
    if isinstance(value, Listing):
        if len(value.items) != 2:
            raise BadInput("a range has two ends", place=value.place, right="[150ms, 300ms]")
        return parameters.RANGE.join(texts(value))
    return text(value)
