"""Which compose project a compose file belongs to, as Compose itself decides it; refused where that cannot be told for sure.

    COMPOSE_PROJECT_NAME of the environment, else of the file .env beside the compose file
    the file's own ``name``, its variables filled in from the environment and .env
    the name of its folder; both in small letters and without what no project's name may hold

Only ``name`` is needed of the file, so whatever else stands there (``!reset``, ``!override``) does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput
from chaos.experiment.source import read_text

PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
VARIABLE: Final = "COMPOSE_PROJECT_NAME"
OUT: Final = "write the project's name instead of the file: attach: {compose: shop, services: [web]}; docker compose ls shows the names"
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_PIECE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<sign>:?[-+?])(?P<word>[^{}$]*))?\})", re.ASCII
)


def compose_project(path: Path, environ: Mapping[str, str]) -> str:
    """The project of the compose file at that path. ``BadInput`` without a place where it cannot be told."""
    try:
        content = read_text(path)
    except BadInput as refusal:
        raise BadInput(refusal.message) from None
    beside = _dotenv(path.parent / ".env")
    own = _own_name(content, path)
    name = environ.get(VARIABLE) or beside.get(VARIABLE) or ""
    if not name:
        name = _plain(_filled(own, {**beside, **environ})) or _plain(path.resolve().parent.name)
    if not PROJECT.fullmatch(name):
        raise BadInput(f"the project's name comes out as '{name}', which Compose does not allow", right=OUT)
    return name


def _plain(name: str) -> str:
    """As Compose makes a project's name of what stands in the file, and of a folder's name; the variable it takes as it is."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")


def _own_name(content: str, path: Path) -> str:
    """What stands at the key ``name``; empty if there is none."""
    import yaml  # a run that is judged needs none of it

    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path} is not YAML: {getattr(error, 'problem', None) or 'too deep'}") from None
    if not isinstance(root, yaml.MappingNode):
        raise BadInput(f"{path} is no compose file: it holds no keys")
    keys = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    if not keys.keys() & {"services", "include", "name"}:
        raise BadInput(f"{path} is no compose file: it has no 'services'")
    found = keys.get("name")
    if found is None:
        return ""
    if not isinstance(found, yaml.ScalarNode) or not found.value.strip():
        raise BadInput(f"the 'name' of {path} is no text", right=OUT)
    return str(found.value)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Variables filled in, as Compose does for the plain forms; ``BadInput`` for what it would refuse, and for nested ones."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        name, sign, word = match["bare"] or match["name"], match["sign"] or "", match["word"] or ""
        given = values.get(name)
        there = given is not None and (given != "" or not sign.startswith(":"))
        if sign.endswith("+"):
            return word if there else ""
        if there:
            return given or ""
        if sign.endswith("-"):
            return word
        raise BadInput(f"the name '{text}' asks for the variable {name}, which is not set", right=OUT)

    if "$" in _PIECE.sub("", text):
        raise BadInput(f"the name '{text}' cannot be worked out here", right=OUT)
    return _PIECE.sub(value, text)


def _dotenv(path: Path) -> dict[str, str]:
    """The plain lines of a file .env; one with variables of its own is left out, and refused if it names the project."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in read_text(path).splitlines():
        match = _LINE.fullmatch(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        name, value = match.groups()
        if value[:1] in ("'", '"'):
            quote, end = value[0], value.find(value[0], 1)
            plain = value[1:end] if end > 0 and (quote == "'" or "\\" not in value) else None
        else:
            plain = re.sub(r"\s+#.*", "", value)
        if plain is None or ("$" in plain and value[:1] != "'"):
            if name == VARIABLE:
                raise BadInput(f"{VARIABLE} in {path} cannot be worked out here", right=OUT)
            found.pop(name, None)
            continue
        found[name] = plain
    return found
