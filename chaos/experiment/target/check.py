"""Checks of a target that go beyond the shape of its file: names that clash, questions, every template with the defaults."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.core.plugins import suggest
from chaos.experiment import parameters, probe_options
from chaos.experiment.forms import Mistakes
from chaos.experiment.probe_options import Written, WrongOption
from chaos.experiment.source import Table, place_in, table_of
from chaos.experiment.target import question as asking
from chaos.experiment.target import templates
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.spec import OTHER, Ask, Setting, Target, about

_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


def check(root: Table, target: Target) -> None:
    """Raise ``BadInput`` for what in the file cannot be right: the first thing of each kind."""
    mistakes = Mistakes()
    for each in (_check_names, _check_parts, _check_files, _check_model, _check_questions, _check_templates, _check_operations):
        mistakes.of(each, root, target)
    mistakes.tell()


def defaults(settings: dict[str, Setting]) -> dict[str, str]:
    """Every setting's default as the text that templates are filled with."""
    return {name: setting_text(setting.default) for name, setting in settings.items()}


def setting_text(value: str | float | bool) -> str:
    """``true``, ``3``, ``1.5``, or the text itself."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def operation_words(target: Target, ports: Mapping[str, int], settings: Mapping[str, str]) -> dict[str, str]:
    """The words of an operation's templates that are the same for every request."""
    numbers = {name: str(port) for name, port in ports.items()}
    return {**settings, **numbers, "target": target.folder, "python": sys.executable}


def check_operation(
    kind: OperationKind,
    path: str,
    words: Mapping[str, str],
    context: templates.Context,
    folder: str,
    place: Callable[[str], Place],
    *,
    here: bool = False,
) -> None:
    """Have the probe's own reader check what is written at a path; ``place`` knows where a path stands, ``context`` is a sample."""
    name = path.rpartition(".")[2]
    try:
        told = with_nodes(kind, context).options
        written = Written(operation=name, does=kind.does, options=told, words=words, folder=folder, here=here)
        probe_options.check(kind.probe, written)
    except WrongOption as refusal:
        key = kind.probe if refusal.option == probe_options.WHAT else refusal.option
        raise BadInput(refusal.plain, place=place(f"{path}.{key}"), right=refusal.right) from None
    except BadInput as refusal:
        raise BadInput(refusal.message, place=refusal.place or place(path), right=refusal.right) from None


def sample(target: Target, part: str, settings: dict[str, str]) -> templates.Context:
    """What templates might stand for at a node of this part: enough to try them."""
    peers = (templates.Peer("n1", "127.0.0.1"),)
    others = {name: templates.Others(each.ports, peers) for name, each in target.parts.items()}
    return templates.Context(
        node="n1", address="127.0.0.1", data="data", python="python", target=target.folder,
        ports=target.parts[part].ports, settings=settings, peers=peers, parts=others,
    )  # fmt: skip


def with_nodes(kind: OperationKind, context: templates.Context) -> OperationKind:
    """The operation with what its options say of the nodes of a part filled in."""
    return msgspec.structs.replace(kind, options={name: templates.with_nodes(text, context) for name, text in kind.options.items()})


def _check_operations(root: Table, target: Target) -> None:
    """With the ports of a part that has what the operation asks; which part clients use, an experiment says."""
    kinds = {f"operations.{name}": kind for name, kind in target.operations.items()}
    if target.read_node:
        kinds["read_node"] = target.read_node
    for path, kind in kinds.items():
        refusals: list[BadInput] = []
        for name, part in target.parts.items():
            words = operation_words(target, part.ports, defaults(target.settings))
            try:
                context = sample(target, name, defaults(target.settings))
                check_operation(kind, path, words, context, target.folder, partial(place_in, root))
            except BadInput as refusal:
                refusals.append(refusal)
        if len(refusals) == len(target.parts):
            raise refusals[0]


def _check_names(root: Table, target: Target) -> None:
    for name, part in target.parts.items():
        place = table_of(root.entries["parts"]).entries[name].place
        if not _PART.fullmatch(name):
            raise BadInput(
                f"'{name}' is not the name of a part",
                place=place,
                right="letters, digits, '-' and '_', at most 40: nodes are named after it",
            )
        count = part.nodes
        if not 1 <= count.min <= count.default <= count.max:
            raise BadInput("nodes must be min <= default <= max, and min at least 1", place=_inner(place, "nodes"))
        for port, at in part.ports.items():
            if not 1 <= at <= 65535:
                raise BadInput(f"port {at} does not exist", place=_inner(place, f"ports.{port}"), right="1 to 65535")
        for taken in [*part.ports, *target.settings]:
            if taken in templates.RESERVED or (taken in part.ports and taken in target.settings):
                raise BadInput(f"the name '{taken}' is taken already", place=_inner(place, "ports"), right="another name")
        if len(target.parts) == 1 and part.client_port not in part.ports:
            raise BadInput(f"there is no port '{part.client_port}' for clients", place=place, right="client_port: the name of a port")
    for name, setting in target.settings.items():
        if setting.choices and setting_text(setting.default) not in setting.choices:
            raise BadInput("the default is not one of the choices", place=_inner(root.place, f"settings.{name}"))


def _check_parts(root: Table, target: Target) -> None:
    """Parts that are named by others exist, and none of them waits for itself."""
    named = [(f"parts.{name}.after", other) for name, part in target.parts.items() for other in part.after]
    named += [(f"roles.{role}.part", part) for role, part in target.role_parts.items()]
    named += [(f"init[{number}].part", step.part) for number, step in enumerate(target.init) if step.part]
    for path, part in named:
        if part not in target.parts:
            raise BadInput(f"there is no part '{part}'", place=place_in(root, path), right=suggest(part, target.parts))
    waves(target)


def waves(target: Target) -> list[list[str]]:
    """The parts in the order in which they start: each list together, once those before it are ready. ``BadInput`` for a circle."""
    started: list[list[str]] = []
    left = dict(target.parts)
    while left:
        ready = [name for name, part in left.items() if not set(part.after) & left.keys()]
        if not ready:
            name = next(iter(left))
            what = f"the parts {', '.join(left)} wait for one another, so none of them can start"
            raise BadInput(what, place=Place(f"{target.folder}/target.yaml", None, f"parts.{name}.after"), right="leave one 'after' out")
        started.append(ready)
        for name in ready:
            del left[name]
    return started


def _check_files(root: Table, target: Target) -> None:
    """A target's files lie in the node's own folder: whoever starts somebody else's target gets nothing written elsewhere."""
    for name, part in target.parts.items():
        for written in part.files:
            path = PurePosixPath(written)
            if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in written:
                what = f"the file '{written}' would not lie in the node's folder"
                raise BadInput(what, place=place_in(root, f"parts.{name}.files"), right="a relative path without '..'")


def _check_model(root: Table, target: Target) -> None:
    """The parameters, with the defaults of the settings filled in."""
    with_defaults = templates.Context(node="", address="", ports={}, settings=defaults(target.settings))
    for name, written in target.model.items():
        try:
            parameters.read(name, templates.fill(written, with_defaults))
        except BadInput as refusal:
            raise BadInput(refusal.message, place=place_in(root, f"model.{name}"), right=refusal.right) from None


def _check_questions(root: Table, target: Target) -> None:
    asks: dict[str, Ask] = {f"roles.{name}": ask for name, ask in target.roles.items()}
    if target.marks_ask:
        asks["marks.ask"] = target.marks_ask
    if target.detectors_ask:
        asks["detectors.ask"] = target.detectors_ask
        _check_detectors(root, target)
    asks |= {path: ask for path, ask, _ in _of_membership(target)}
    if target.clock:
        if target.clock.http is None or not target.clock.json:
            right = '{http: "http://...", json: the.path.of.the.time}'
            raise BadInput(
                "'clock' is asked by 'http', and 'json' says where in the answer it is", place=place_in(root, "clock"), right=right
            )
        asks["clock"] = target.clock
    for name, part in target.parts.items():
        asks[f"parts.{name}.ready"] = part.ready.ask
        asks |= {f"parts.{name}.ping.{port}": ask for port, ask in part.ping.items()}
        for port in part.ping:
            if port not in part.ports:
                place = place_in(root, f"parts.{name}.ping.{port}")
                raise BadInput(f"there is no port '{port}'", place=place, right=suggest(port, part.ports))
    for path, ask in asks.items():
        if (ask.http is None) == (ask.tcp is None):
            raise BadInput("a question is asked by 'http' or by 'tcp', one of them", place=place_in(root, path))
        if ask.tcp is not None and (ask.json or ask.body or ask.status):
            raise BadInput("'tcp' has no body, status or json", place=place_in(root, path), right="send, and expect")
        if ask.tcp is None and (ask.send is not None or ask.expect is not None):
            raise BadInput("'send' and 'expect' are of 'tcp'", place=place_in(root, path), right="body, status and json")
        if ask.send is not None and not ask.expect:
            raise BadInput("'send' without 'expect': what would show that it answered?", place=place_in(root, path), right="expect: a text")


def _check_detectors(root: Table, target: Target) -> None:
    """Each expression is about one other node, and can be read."""
    right = "such as 'peers.{other}.alive=false'"
    for name, written in target.detectors.items():
        place = place_in(root, f"detectors.suspects.{name}")
        if OTHER not in written:
            raise BadInput(f"the detector '{name}' does not say of which node: there is no {OTHER} in it", place=place, right=right)
        try:
            asking.parse(written.replace(OTHER, "n1"))
        except BadInput as refusal:
            raise BadInput(refusal.message, place=place, right=refusal.right) from None


def _check_templates(root: Table, target: Target) -> None:
    contexts = {name: sample(target, name, defaults(target.settings)) for name in target.parts}
    for path, template, part_name in _all_templates(target):
        if part_name in contexts:  # else that has been told
            _in_some_part(root, path, [contexts[part_name]], partial(templates.fill, template))
    for path, ask, part_name in _all_questions(target):
        of_part = part_name or target.role_parts.get(path.removeprefix("roles."), "")
        wanted = [contexts[of_part]] if of_part in contexts else list(contexts.values())
        _in_some_part(root, path, wanted, partial(_askable, ask))


def _askable(ask: Ask, context: templates.Context) -> object:
    """Raises unless the question can be sent to this node."""
    return asking.prepare(templates.filled(ask, context))


def _in_some_part(root: Table, path: str, contexts: list[templates.Context], read: Callable[[templates.Context], object]) -> None:
    """A question to the whole cluster may use a port that only some parts have: one part that can be asked is enough."""
    refusals: list[BadInput] = []
    for context in contexts:
        try:
            read(context)
        except BadInput as refusal:
            refusals.append(refusal)
    if len(refusals) == len(contexts):
        raise BadInput(refusals[0].message, place=place_in(root, path), right=refusals[0].right)


def _all_templates(target: Target) -> Iterator[tuple[str, str, str]]:
    """(path, template, part) of everything that is a template, but questions."""
    for name, part in target.parts.items():
        at = f"parts.{name}"
        commands = {"local": part.local.command if part.local else (), "docker": part.docker.command if part.docker else ()}
        for runtime, command in commands.items():
            yield from ((f"{at}.{runtime}.command[{i}]", word, name) for i, word in enumerate(command))
        yield from ((f"{at}.env.{key}", value, name) for key, value in part.env.items())
        yield from ((f"{at}.files.{key}", value, name) for key, value in part.files.items())
    for number, step in enumerate(target.init):
        part_name = step.part or next(iter(target.parts))
        yield from ((f"init[{number}].command", word, part_name) for word in step.command)


def _all_questions(target: Target) -> Iterator[tuple[str, Ask, str]]:
    """(path, question, part): to a node of that part, or to any node if there is none."""
    for name, part in target.parts.items():
        yield f"parts.{name}.ready", part.ready.ask, name
        yield from ((f"parts.{name}.ping.{port}", ask, name) for port, ask in part.ping.items())
    yield from ((f"roles.{role}", ask, "") for role, ask in target.roles.items())
    if target.marks_ask:
        yield "marks.ask", target.marks_ask, ""
    if target.detectors_ask:
        yield "detectors.ask", target.detectors_ask, ""
    yield from _of_membership(target)
    if target.clock:
        yield "clock", target.clock, ""


def _of_membership(target: Target) -> Iterator[tuple[str, Ask, str]]:
    """Its questions, about some other node."""
    told = target.membership
    if told is not None:
        yield "membership.leave", about(told.leave, "n1", "127.0.0.1"), ""
        yield "membership.join", about(told.join, "n1", "127.0.0.1"), ""
        yield "membership.listed", about(told.listed, "n1", "127.0.0.1"), ""


def _inner(place: Place, path: str) -> Place:
    return msgspec.structs.replace(place, path=f"{place.path}.{path}" if place.path else path)
