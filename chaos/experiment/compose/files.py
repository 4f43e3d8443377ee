"""Which files a Compose project is made of, and their YAML, with the tags ``!reset`` and ``!override``.

    -f FILE...      else COMPOSE_FILE, of the environment or of .env
                    else compose.yaml (or .yml, docker-compose.yaml, .yml) and compose.override.yaml beside it

The project's folder is that of the first file; ``.env`` lies in it. All scalars are texts, as they are written: Compose knows what is
meant to be a number, YAML does not (``22:22``, ``no``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from chaos.core.errors import BadInput, Place
from chaos.experiment.compose.variables import DOTENV, dotenv, filled
from chaos.experiment.source import read_text

NAMES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
FILE: Final = "COMPOSE_FILE"
SEPARATOR: Final = "COMPOSE_PATH_SEPARATOR"
_MOST_DEPTH: Final = 60


class Reset(msgspec.Struct, frozen=True):
    """``!reset``: what earlier files say here is forgotten."""


class Override(msgspec.Struct, frozen=True):
    """``!override``: what earlier files say here is replaced, not added to."""

    value: Any


class Sources(msgspec.Struct, frozen=True):
    """The files of one project, and what variables stand for in them."""

    files: tuple[Path, ...]
    folder: Path
    values: dict[str, str]


def sources(given: Sequence[Path], environ: Mapping[str, str]) -> Sources:
    """The files: those given (a folder stands for what lies in it), or those that Compose would find from here."""
    folder = given[0] if len(given) == 1 and given[0].is_dir() else None
    if given and folder is None:
        first = given[0]
        alone = len(given) == 1 and first.name in NAMES
        files = [*given, *(_overrides(first) if alone else [])]
        return Sources(tuple(files), first.parent, {**dotenv(first.parent / DOTENV, environ), **environ})
    folder = folder or Path()
    beside = dotenv(folder / DOTENV, environ)
    listed = environ.get(FILE) or beside.get(FILE)
    if listed:
        separator = environ.get(SEPARATOR) or beside.get(SEPARATOR) or os.pathsep
        files = [folder / name for name in listed.split(separator) if name]
        return Sources(tuple(files), files[0].parent, {**beside, **environ})
    usual = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if usual is None:
        raise BadInput(f"there is no compose file in {folder.absolute()}", right="name it: nines try shop/compose.yaml")
    return Sources((usual, *_overrides(usual)), folder, {**beside, **environ})


def _overrides(first: Path) -> list[Path]:
    """What Compose adds by itself to a file that was not named with -f: the override beside it."""
    stems = ("compose.override", "docker-compose.override")
    names = [f"{stem}.{ending}" for stem in stems for ending in ("yaml", "yml")]
    return [first.with_name(name) for name in names if first.with_name(name).is_file()][:1]


def parsed(path: Path) -> dict[str, Any]:
    """The top level of a compose file: texts, None, lists, tables, ``Reset`` and ``Override``. ``BadInput`` if it is none."""
    import yaml  # a run that is judged needs none of it

    class Loader(yaml.SafeLoader):
        """Scalars stay texts, but for null and the merge key."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("null", "merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def tagged(loader: Loader, node: yaml.Node) -> Any:  # noqa: ANN401 - as YAML is
        if node.tag == "!reset":
            return Reset()
        if isinstance(node, yaml.MappingNode):
            return Override(loader.construct_mapping(node, deep=True))
        if isinstance(node, yaml.SequenceNode):
            return Override(loader.construct_sequence(node, deep=True))
        assert isinstance(node, yaml.ScalarNode)
        return Override(loader.construct_scalar(node))

    Loader.add_constructor("!reset", tagged)
    Loader.add_constructor("!override", tagged)
    try:
        content = read_text(path)
    except BadInput as refusal:
        raise BadInput(f"{path}: {refusal.message}", right=refusal.right) from None
    try:
        found = yaml.load(content, Loader=Loader)  # noqa: S506 - a safe loader with fewer types
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = Place(str(path), mark.line + 1) if mark is not None else None
        raise BadInput(f"{path} is not YAML: {getattr(error, 'problem', None) or 'too deep'}", place=place) from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} is no compose file: it holds no keys")
    if not found.keys() & {"services", "include", "name"}:
        raise BadInput(f"{path} is no compose file: it has no 'services'")
    return found


def interpolated(value: Any, values: Mapping[str, str], place: Place) -> Any:  # noqa: ANN401 - as YAML is
    """All texts with their variables filled in; keys stay as they are."""
    match value:
        case str():
            return filled(value, values, place)
        case list():
            return [interpolated(item, values, _at(place, f"[{index}]")) for index, item in enumerate(value)]
        case dict():
            return {str(key): interpolated(item, values, _at(place, f".{key}")) for key, item in value.items()}
        case Override(value=inside):
            return Override(interpolated(inside, values, place))
        case _:
            return value


def _at(place: Place, more: str) -> Place:
    return msgspec.structs.replace(place, path=f"{place.path}{more}".lstrip("."))
