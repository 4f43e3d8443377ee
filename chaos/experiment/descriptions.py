"""What people are told about a key or a table: the texts that stand beside it in the source."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import re

import msgspec


def clean(text: str | None) -> str:
    """A docstring as one paragraph of plain text."""
    first = inspect.cleandoc(text or "").split("\n\n", 1)[0]
    return re.sub(r"\s+", " ", first.replace("``", "`")).strip()


def field_texts(cls: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> the text below it in the source, its own class's before that of those it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each.__module__.partition(".")[0] not in {"msgspec", "builtins"}:
            found |= _texts(each.__module__).get(each.__qualname__, {})
    return found


@functools.cache
def _texts(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> text, of one module; nothing for one that has no source."""
    try:
        tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    except (OSError, TypeError):
        return {}
    return {node.name: dict(_of_class(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _of_class(node: ast.ClassDef) -> list[tuple[str, str]]:
    found = []
    for field, below in itertools.pairwise(node.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found.append((name, clean(text)))
    return found
