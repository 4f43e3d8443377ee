"""Variables of compose files and of ``.env`` files, filled in by the rules of the Compose Specification (12, interpolation).

    $NAME  ${NAME}          the value; empty if it is not set
    ${NAME:-word}           word if it is not set or empty      ${NAME-word}    if it is not set
    ${NAME:?word}           refused if not set or empty         ${NAME?word}    if it is not set
    ${NAME:+word}           word if it is set and not empty     ${NAME+word}    if it is set
    $$                      a dollar

A word may hold variables itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput, Place
from chaos.experiment.source import read_text

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SIGN: Final = re.compile(r":?[-?+]")
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]\s*", re.ASCII)
_BARE: Final = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}
DOTENV: Final = ".env"


def filled(text: str, values: Mapping[str, str], place: Place | None = None) -> str:
    """The text with its variables filled in; ``BadInput`` at ``place`` for what Compose would refuse as well."""
    found, at = "", 0
    while (dollar := text.find("$", at)) >= 0:
        found += text[at:dollar]
        after = text[dollar + 1 : dollar + 2]
        if after == "$":
            found, at = found + "$", dollar + 2
        elif after == "{":
            end = _closing(text, dollar + 1, place)
            found += _value(text[dollar + 2 : end], values, text, place)
            at = end + 1
        elif name := _NAME.match(text, dollar + 1):
            found += values.get(name[0], "")
            at = name.end()
        else:
            raise BadInput(f"'{text}': '$' is followed by no name", place=place, right="$NAME, ${NAME}, or $$ for a dollar")
    return found + text[at:]


def _closing(text: str, opening: int, place: Place | None) -> int:
    depth = 0
    for at in range(opening, len(text)):
        if text[at] == "{" and text[at - 1] == "$":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise BadInput(f"'{text}': '${{' without '}}'", place=place, right="${NAME}, or $$ for a dollar")


def _value(inside: str, values: Mapping[str, str], text: str, place: Place | None) -> str:
    name = _NAME.match(inside)
    sign = _SIGN.match(inside, name.end()) if name else None
    if name is None or (sign is None and name.end() != len(inside)):
        raise BadInput(f"'{text}': '${{{inside}}}' is no variable", place=place, right="${NAME:-default}, or $$ for a dollar")
    given = values.get(name[0])
    if sign is None:
        return given or ""
    word = inside[sign.end() :]
    there = given is not None and (given != "" or not sign[0].startswith(":"))
    if sign[0].endswith("+"):
        return filled(word, values, place) if there else ""
    if there:
        return given or ""
    if sign[0].endswith("-"):
        return filled(word, values, place)
    said = f": {filled(word, values, place)}" if word else ""
    message = f"'{text}' asks for the variable {name[0]}, which is not set{said}"
    raise BadInput(message, place=place, right=f"export {name[0]}=..., or a line in {DOTENV}")


def dotenv(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of a file ``.env``, those in double quotes and in none with variables filled in; nothing if there is no such file.

    A line with a name alone stands for the environment's own value.
    """
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    text, at, number = read_text(path), 0, 1
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line, place = text[at:end].rstrip("\r"), Place(str(path), number)
        match = _LINE.match(line)
        if not line.strip() or line.lstrip().startswith("#"):
            pass
        elif match is not None:
            value, end = _written(text, at + match.end(), {**found, **environ}, place)
            found[match[1]] = value
        elif _BARE.fullmatch(line.strip()):
            name = line.split()[-1]
            found |= {name: environ[name]} if name in environ else {}
        else:
            raise BadInput(f"'{line.strip()}' is no variable", place=place, right="NAME=value, a line for each")
        number += text.count("\n", at, end) + 1
        at = end + 1
    return found


def _written(text: str, at: int, values: Mapping[str, str], place: Place) -> tuple[str, int]:
    """A value and where its last line ends: quoted ones may reach over several lines."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    quote = text[at : at + 1]
    if quote not in ("'", '"') or at >= end:
        return filled(re.sub(r"(^|\s+)#.*", "", text[at:end].rstrip("\r")).strip(), values, place), end
    closing = at + 1
    while closing < len(text) and text[closing] != quote:
        closing += 2 if quote == '"' and text[closing] == "\\" else 1
    if closing >= len(text):
        raise BadInput(f"a quote is not closed: {text[at:end].strip()}", place=place, right="close it")
    end = text.find("\n", closing)
    inside = text[at + 1 : closing]
    if quote == '"':
        inside = filled(re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), inside), values, place)
    return inside, len(text) if end < 0 else end
