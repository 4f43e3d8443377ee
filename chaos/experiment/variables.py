"""``${NAME}`` and ``${NAME:-default}`` in experiment and target files: values of the environment, filled in where they stand.

Only values of the parsed document change: what an environment says can become no key, list or comment, and every message still names the
line of the file. A variable is put out of YAML's sight while the file is read, so that it may stand between the brackets of a flow
mapping (``{nodes: ${NODES:-3}}``). ``$${NAME}`` is the text ``${NAME}`` itself. ``${env:NAME}`` is a secret, which its probe fills in
(``probe_options``) and no file ever holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from chaos.core.errors import BadInput, Place

VARIABLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}\n]*))?\}")
_BEGIN, _END = "\ue000", "\ue001"
"""Of a mark: private characters, which YAML takes for letters."""
_MARK: Final = re.compile(f"{_BEGIN}([0-9]+){_END}")


class Variable(msgspec.Struct, frozen=True):
    """One use of a variable, as written; ``default`` None: it must be there. Without a name it is the text ``${``."""

    written: str
    name: str = ""
    default: str | None = None


class Variables:
    """Those of one file. ``marked`` is its text with a mark in the place of each."""

    def __init__(self, content: str, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._found: list[Variable] = []
        self.marked: Final = content if "${" not in content or _BEGIN in content else VARIABLE.sub(self._mark, content)

    def _mark(self, match: re.Match[str]) -> str:
        self._found.append(Variable(match[0], match[1] or "", match[2]))
        return f"{_BEGIN}{len(self._found) - 1}{_END}"

    def written(self, text: str) -> str:
        """The text as it stands in the file."""
        return _MARK.sub(lambda mark: self._of(mark).written, text) if _BEGIN in text else text

    def filled(self, text: str, place: Place) -> str:
        """The text with its values; ``BadInput`` for a variable that is not there and has no default."""
        return _MARK.sub(lambda mark: self._value(self._of(mark), place), text) if _BEGIN in text else text

    def _of(self, mark: re.Match[str]) -> Variable:
        number = int(mark[1])
        return self._found[number] if number < len(self._found) else Variable(mark[0])

    def _value(self, variable: Variable, place: Place) -> str:
        if not variable.name:
            return variable.written.removeprefix("$")
        value = self._environment.get(variable.name)
        if not value and variable.default is not None:
            return variable.default
        if value is None:
            right = f"export {variable.name}=..., or give a default: ${{{variable.name}:-...}}"
            raise BadInput(f"the environment has no variable '{variable.name}'", place=place, right=right)
        return value
