"""Built-in plug-ins use nothing that a foreign one cannot: nobody asks a runtime for its name, or reads a fault's fields for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import chaos
from chaos.core import plugins

ROOT = Path(chaos.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))
CONTAINERS = (ast.Tuple, ast.List, ast.Set)


def compared_names(tree: ast.AST) -> Iterator[int]:
    """Lines that compare something called runtime with a runtime's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            texts = {each.value for side in sides for each in (side.elts if isinstance(side, CONTAINERS) else [side])
                     if isinstance(each, ast.Constant)}  # fmt: skip
            if texts & set(plugins.RUNTIMES) and any("runtime" in ast.unparse(side) for side in sides):
                yield node.lineno


def fields_read(tree: ast.AST) -> Iterator[int]:
    """Lines that take a named field out of a fault's ``params``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=of, attr="get" | "pop"), args=[ast.Constant(value=str()), *_]):
                found = of
            case ast.Subscript(value=of, slice=ast.Constant(value=str())):
                found = of
            case ast.Compare(left=ast.Constant(value=str()), ops=[ast.In() | ast.NotIn()], comparators=[of]):
                found = of
            case ast.Call(func=ast.Name(id="getattr"), args=[of, ast.Constant(value=str()), *_]) if "fault" in ast.unparse(of):
                found = ast.Name("params")
            case _:
                continue
        if ast.unparse(found).split(".")[-1] == "params":
            yield node.lineno


@pytest.mark.parametrize("code", ['plan.runtime == "docker"', 'runtime not in ("local", "docker")', '"fake" == runtime'])
def test_a_name_that_is_compared_is_found(code: str) -> None:
    """The look itself."""
    assert list(compared_names(ast.parse(code))) == [1]


@pytest.mark.parametrize("code", ['spec.params.get("mode")', 'params["mode"]', '"mode" in spec.params', 'getattr(fault, "halts", False)'])
def test_a_field_that_is_read_is_found(code: str) -> None:
    """The look itself."""
    assert list(fields_read(ast.parse(code))) == [1]


def test_no_runtime_is_asked_for_its_name() -> None:
    """Outside of the runtimes themselves."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        if "runtimes" not in path.relative_to(ROOT).parts
        for line in compared_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_no_fault_is_read_by_others() -> None:
    """But for its own model: a file with a ``Model`` in it."""
    found = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if "chaos.plugin import Model" not in text or path.name == "table.py":
            found += [f"{path.relative_to(ROOT)}:{line}" for line in fields_read(ast.parse(text))]
    assert found == []
