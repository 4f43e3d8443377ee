"""Mutations of YAML files, seeded: keys and values deleted, doubled, renamed, swapped, bent, and the bytes of the file harmed."""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

Tree = Any
WEIRD: Final[tuple[Tree, ...]] = (
    None, "", " ", 0, -1, 1, 10**30, -(10**30), 1.5, float("inf"), float("nan"), True, False, [], {}, [[]], [None], {"": None}, {"a": "b"},
    "0s", "-1s", "1e300s", "1e-300s", "9" * 5000, "9" * 5000 + "s", "1s", "100/s", "0/s", "-3/s", "1e300/s", "150%", "-5%", "100%", "5KB",
    "x" * 5000, "../../etc", "/", ".", "..", "a b", "a.b", "{", "}", "{}", "{nope}", "{{", "{peers:{", "%s", "\\", "\\q", "\u0000",
    "\ud800",
    "\u202e", "ä", "🐒", "<script>", "$(id)", "n1", "n99", "leader", "any", ["n1", "n1"], ["n1", "n2", "n3"], {"any": 0}, {"any": 99},
    {"percent": "0%"}, {"link": "n1 -> n1"}, {"link": "a"}, {"zone": "a"}, {"same": "x"}, "2026-01-01", "1:30", "010", "0x10", "~", "yes",
)  # fmt: skip
BYTES: Final = (
    b"\x00", b"\xff", b"\t", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"&a", b"*a", b"!x ", b"<<: ", b"- ", b": ", b"#", b"'", b'"', b"{", b"[",
    b"]", b"}", b"|", b"%",
)  # fmt: skip


def _spots(tree: Tree) -> Iterator[tuple[Tree, Any]]:
    """Every (container, key or index) of a tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _spots(tree[key])


def _delete(tree: Tree, at: random.Random) -> None:
    held, key = at.choice(list(_spots(tree)))
    del held[key]


def _replace(tree: Tree, at: random.Random) -> None:
    held, key = at.choice(list(_spots(tree)))
    held[key] = copy.deepcopy(at.choice(WEIRD))


def _swap(tree: Tree, at: random.Random) -> None:
    spots = list(_spots(tree))
    (first, one), (second, other) = at.choice(spots), at.choice(spots)
    kept, taken = copy.deepcopy(first[one]), copy.deepcopy(second[other])
    first[one] = taken
    if (isinstance(second, dict) and other in second) or (isinstance(second, list) and other < len(second)):
        second[other] = kept


def _repeat(tree: Tree, at: random.Random) -> None:
    lists = [held for held, _ in _spots(tree) if isinstance(held, list)]
    if lists:
        held = at.choice(lists)
        held.insert(at.randrange(len(held) + 1), copy.deepcopy(at.choice(held)))


def _wrap(tree: Tree, at: random.Random) -> None:
    held, key = at.choice(list(_spots(tree)))
    held[key] = at.choice([[held[key]], {"is": held[key]}, str(held[key]), [held[key], held[key]]])


def _rename(tree: Tree, at: random.Random) -> None:
    held, key = at.choice([spot for spot in _spots(tree) if isinstance(spot[0], dict)])
    word = str(key)
    cut = at.randrange(len(word) + 1)
    new = at.choice([word[:cut] + at.choice("xs_-. ") + word[cut:], word[:-1], word.upper(), word[::-1], "", "a.b", "[0]"])
    items = [(new if each is key else each, value) for each, value in held.items()]
    held.clear()
    held.update(items)


def _spread(tree: Tree, at: random.Random) -> None:
    """A key with its value where another table is."""
    tables = [held for held, _ in _spots(tree) if isinstance(held, dict)]
    first, second = at.choice(tables), at.choice(tables)
    key = at.choice(list(first))
    second.setdefault(key, copy.deepcopy(first[key]))


_OF_TREES: Final[tuple[Callable[[Tree, random.Random], None], ...]] = (_delete, _replace, _replace, _swap, _repeat, _wrap, _rename, _spread)


def _of_bytes(data: bytes, at: random.Random) -> bytes:
    where, length = at.randrange(len(data) + 1), at.randrange(1, 40)
    lines = data.splitlines(keepends=True)
    line = at.randrange(len(lines))
    return at.choice([
        data[:where], data[:where] + at.choice(BYTES) + data[where:], data[:where] + data[where + length :],
        data[:where] + bytes(at.randrange(256) for _ in range(at.randrange(1, 4))) + data[where + 1 :],
        b"".join(lines[:line] + lines[line + 1 :]), b"".join([*lines[:line], lines[line], *lines[line:]]),
        b"".join([*lines[:line], b" " * at.randrange(1, 5) + lines[line], *lines[line + 1 :]]),
    ])  # fmt: skip


_read: Final = functools.partial(yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def mutated(content: bytes, seed: int) -> bytes:
    """The file with one to three mutations, of its tree (written as JSON, which YAML is) or of its bytes."""
    at = random.Random(seed)  # noqa: S311 - seeded on purpose
    tree = _read(content)
    if at.random() < 0.3:
        return _of_bytes(content, at)
    for _ in range(at.choice([1, 1, 1, 2, 3])):
        if isinstance(tree, dict) and list(_spots(tree)):
            at.choice(_OF_TREES)(tree, at)
    return json.dumps(tree, indent=at.choice([None, 1]), ensure_ascii=at.random() < 0.5).encode("utf-8", "surrogatepass")


def unknown_keys(content: bytes) -> Iterator[bytes]:
    """The file with a key that nothing reads in each of its tables in turn: each must be refused, or is a name that may be any."""
    tree = _read(content)
    for table in [held[key] for held, key in _spots(tree) if isinstance(held[key], dict)]:
        table["zz_unknown"] = "1s"
        yield json.dumps(tree, indent=1).encode()
        del table["zz_unknown"]


def double_keys(content: bytes) -> Iterator[bytes]:
    """Each line ``key: value`` of the file a second time: each must be refused."""
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines):
        word = line.strip()
        if (
            word
            and word[:1] not in b"-#{}[]\"'"
            and b":" in word
            and not word.endswith((b":", b"|", b",", b"["))
            and b": {" not in word[:-1]
        ):
            yield b"".join([*lines[: number + 1], line, *lines[number + 1 :]])
