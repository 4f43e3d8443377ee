"""A YAML file as a tree in which everything knows where it stands: file, line and path.

    text -> yaml nodes -> Scalar | Listing | Table -> (forms) frozen structs

Only the text of a scalar is kept, with the kind that YAML gave it: quantities are parsed where the wanted unit is known, so
that ``1:30`` or ``010`` never turn into numbers that nobody wrote. Refused here, with ``BadInput``: a file that cannot be read,
is not UTF-8, empty, too big, too deep, not YAML, that has a key twice, or whose aliases blow it up.
"""

from __future__ import annotations

import functools
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from chaos.core.errors import BadInput, Place, shortened, together
from chaos.core.plugins import suggest
from chaos.experiment.nodes import composed
from chaos.experiment.variables import Variables

if TYPE_CHECKING:
    import yaml

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 40
MOST_KEY: Final = 200
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
MAX_VALUES: Final = 20_000
"""Values in one document, aliases counted each time they are used."""

MOST_SHOWN: Final = 200
"""Characters of a value that a message shows."""

NULL, BOOL, INT, FLOAT, TEXT = "null", "bool", "int", "float", "text"

_NO_CHARACTER: Final = re.compile(r"\\U(?!0000|0010)[0-9A-Fa-f]{8}")
"""Beyond U+10FFFF. PyYAML fails at it without a place."""
_PLAIN: Final = "write plain values; a text that begins with '!' stands in quotes"
_STANDARD: Final = "tag:yaml.org,2002:"
_KINDS: Final = {
    "null": NULL, "bool": BOOL, "int": INT, "float": FLOAT, "str": TEXT, "timestamp": TEXT, "value": TEXT, "merge": TEXT,
    "map": "map", "seq": "seq",
}  # fmt: skip


class Scalar(msgspec.Struct, frozen=True):
    """One word, number or nothing, as written; ``kind`` is what plain YAML takes it for."""

    place: Place
    text: str
    kind: str
    written: str = ""
    """As it stands in the file, where variables are filled in (``variables``); else empty."""


class Listing(msgspec.Struct, frozen=True):
    """A list."""

    place: Place
    items: tuple[Value, ...]


class Table(msgspec.Struct, frozen=True):
    """Keys and values, in the order written. The place of a value is the line of its key."""

    place: Place
    entries: dict[str, Value]

    def unknown(self, known: Iterable[str]) -> list[BadInput]:
        """A mistake for any other key."""
        names = list(known)
        found = []
        for key, value in self.entries.items():
            if key not in names:
                found.append(BadInput(f"unknown key '{key}'", place=value.place, right=suggest(key, names)))
        return found

    def only(self, known: Iterable[str]) -> None:
        """Refuse any other key."""
        if found := self.unknown(known):
            raise together(found)

    def need(self, key: str, example: str = "") -> Value:
        """The value of a key that must be there."""
        if key not in self.entries:
            raise BadInput(f"the key '{key}' is missing", place=self.place, right=example and f"write it like {example}")
        return self.entries[key]

    def get(self, key: str) -> Value | None:
        """The value of a key, or None if the key is not there or has no value."""
        value = self.entries.get(key)
        return None if isinstance(value, Scalar) and value.kind == NULL else value


Value = Scalar | Listing | Table


def short(text: str) -> str:
    """For a message: what is far too long, cut."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def what_is(value: Value) -> str:
    """What stands there, for a message."""
    match value:
        case Scalar(kind="null"):
            return "nothing"
        case Scalar():
            return f"'{short(value.text)}'"
        case Listing():
            return "a list"
        case Table():
            return "a mapping"


def table_of(value: Value, wanted: str = "keys and values") -> Table:
    """The value as a table, or a refusal."""
    if isinstance(value, Table):
        return value
    raise BadInput(
        f"{what_is(value)} stands where {wanted} belong{'s' if wanted.startswith('a ') else ''}",
        place=value.place,
        right="write 'key: value' pairs",
    )


def text(value: Value, wanted: str = "a text") -> str:
    """The value as text, as written (``no`` stays ``no``), or a refusal."""
    if isinstance(value, Scalar) and value.kind != NULL and value.text.strip():
        return value.text
    raise BadInput(f"{what_is(value)} stands where {wanted} belongs", place=value.place)


def read_text(path: Path) -> str:
    """The text of a file, or ``BadInput`` that says why it cannot be read."""
    place = Place(str(path))
    try:
        if stat.S_ISFIFO(path.stat().st_mode) and path.parts[:2] not in (("/", "dev"), ("/", "proc")):
            raise BadInput("this is a pipe, not a file", place=place)  # reading would wait for a writer who may never come
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise BadInput("this is a folder, not a file", place=place) from None
    except FileNotFoundError:
        raise BadInput("there is no such file", place=place) from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", place=Place(shortened(str(path)))) from error
    except ValueError:
        raise BadInput("is no name of a file: it holds a NUL", place=Place(repr(str(path)))) from None
    if len(data) > MAX_BYTES:
        raise BadInput(f"is larger than {MAX_BYTES:,} bytes", place=place, right="an experiment is a page of text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput("is not UTF-8 text", place=Place(str(path), line), right="save it as UTF-8") from None


def parse(content: str, file: str) -> Table:
    """The whole document, which must be one table."""
    return _parsed(content, file) if "${" in content else _known(content, file)


@functools.lru_cache(maxsize=64)
def _known(content: str, file: str) -> Table:
    """Experiments name the same targets again and again, and reading YAML is most of the time that a plan takes."""
    return _parsed(content, file)


def _parsed(content: str, file: str) -> Table:
    import yaml  # prober and name server, which share the values here, read no YAML and have no package for it

    variables = Variables(content)
    try:
        root = composed(variables.marked)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, content, file) from None
    except yaml.reader.ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise BadInput(f"holds a character that YAML does not allow: U+{code:04X}", place=Place(file, line)) from None
    except RecursionError:
        raise BadInput(f"is nested deeper than {MAX_DEPTH} levels", place=Place(file)) from None
    except (ValueError, OverflowError):
        raise _no_character(content, file) from None
    if root is None:
        raise BadInput("is empty", place=Place(file), right="an experiment begins with 'experiment: NAME'")
    value = _Builder(file, variables).build(root, "", root.start_mark.line + 1, 0)
    if not isinstance(value, Table):
        raise BadInput(f"{what_is(value)} stands where keys and values belong", place=value.place)
    return value


def value_of(content: str, place: Place) -> Value:
    """One value, as YAML writes it, in place of one of a file; all of it stands at the one place."""
    import yaml

    try:
        root = composed(content)
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise BadInput(f"'{short(content)}' is not a value", place=place, right="check quotes and brackets") from None
    return Scalar(place, "", NULL) if root is None else _Builder(place.file, None).build(root, place.path, None, 0)


def walk(value: Value) -> Iterator[Value]:
    """The value and all below it."""
    yield value
    below = value.items if isinstance(value, Listing) else value.entries.values() if isinstance(value, Table) else ()
    for inner in below:
        yield from walk(inner)


def locate(file: str, path: str) -> Place:
    """Where a path (``cluster.dns.part``) stands in a file, by reading it again; only the file if it cannot be found any more.

    For checks that are made on typed values, which do not carry lines. A path that is not written (a default) is placed at
    the nearest key above it.
    """
    try:
        root = parse(read_text(Path(file)), file)
    except BadInput:
        return Place(file or "experiment", None, path)
    return place_in(root, path)


def place_in(root: Table, path: str) -> Place:
    """The same in a file that has been read."""
    places = {value.place.path: value.place.line for value in walk(root)}
    near = path
    while near and near not in places:
        near = re.sub(r"(\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+|.)$", "", near, flags=re.DOTALL)
    return Place(root.place.file, places.get(near), path)


class _Builder:
    """Turns yaml's nodes into ours, and counts, so that aliases cannot blow a small file up."""

    def __init__(self, file: str, variables: Variables | None) -> None:
        self._file = file
        self._variables = variables
        self._count = 0

    def build(self, node: yaml.Node, path: str, line: int | None, depth: int) -> Value:
        """``line`` None: what is read stands in no file."""
        import yaml

        place = Place(self._file, line, path)
        self._count += 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            too = f"nested deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else f"more than {MAX_VALUES:,} values, aliases counted"
            raise BadInput(f"is too big: {too}", place=Place(self._file, line))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self._kind(node, place)
        if isinstance(node, yaml.SequenceNode):
            items = (self.build(item, f"{path}[{i}]", line and item.start_mark.line + 1, depth + 1) for i, item in enumerate(node.value))
            return Listing(place, tuple(items))
        entries: dict[str, Value] = {}
        for key_node, value_node in node.value:
            key_line = line and key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == f"{_STANDARD}null":
                raise BadInput("a key must be a word", place=Place(self._file, key_line, path))
            key = self._text(self._filled(key_node.value, Place(self._file, key_line, path)), Place(self._file, key_line, path))
            if len(key) > MOST_KEY:
                raise BadInput(
                    f"the key '{key[:40]}...' has {len(key):,} characters",
                    place=Place(self._file, key_line, path),
                    right=f"at most {MOST_KEY}",
                )
            inner = f"{path}.{key}" if path else key
            if key in entries:
                first = f"first in line {entries[key].place.line}"
                raise BadInput(f"the key '{key}' stands here twice", place=Place(self._file, key_line, inner), right=first)
            entries[key] = self.build(value_node, inner, key_line, depth + 1)
        return Table(place, entries)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Scalar:
        """With its variables filled in; what they make of a word without quotes is taken as if it had stood there."""
        import yaml

        filled = self._filled(node.value, place)
        if filled == node.value:
            return Scalar(place, self._text(filled, place), self._kind(node, place))
        assert self._variables is not None
        plain = not node.style and node.tag.startswith(_STANDARD)
        tag: str = node.tag
        if plain:
            tag = yaml.resolver.Resolver().resolve(yaml.ScalarNode, filled, (True, False))  # type: ignore[no-untyped-call]
        kind = self._kind(yaml.ScalarNode(tag, filled), place)
        return Scalar(place, self._text(filled, place), kind, self._variables.written(node.value))

    def _filled(self, text: str, place: Place) -> str:
        return text if self._variables is None else self._variables.filled(text, place)

    @staticmethod
    def _text(text: str, place: Place) -> str:
        """Halves of pairs put together, as JSON writes them; a half by itself and NUL are no text that anything could be done with."""
        if "\0" in text:
            raise BadInput("holds a NUL character", place=place, right="in a text of 'tcp' write it as '\\0', in single quotes")
        if text.isascii() or not _SURROGATE.search(text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise BadInput(
                "holds half of a surrogate pair, which is no character", place=place, right="write the character itself"
            ) from None

    def _kind(self, node: yaml.Node, place: Place) -> str:
        kind = _KINDS.get(node.tag.removeprefix(_STANDARD)) if node.tag.startswith(_STANDARD) else None
        if kind is None:
            raise BadInput(f"the tag '{node.tag}' is not allowed", place=place, right=_PLAIN)
        return kind


def _no_character(content: str, file: str) -> BadInput:
    """For an escape beyond Unicode, at which PyYAML raises what ``chr`` does."""
    found = _NO_CHARACTER.search(content)
    line = content.count("\n", 0, found.start()) + 1 if found else None
    written = found.group() if found else "an escape"
    return BadInput(f"{written} is no character of Unicode", place=Place(file, line), right="\\U0010FFFF is the last one")


def _not_yaml(error: yaml.MarkedYAMLError, content: str, file: str) -> BadInput:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    lines = content.splitlines()
    if line is not None and line <= len(lines) and lines[line - 1].lstrip(" ").startswith("\t"):
        return BadInput("a tab stands where YAML wants spaces", place=Place(file, line), right="indent with spaces")
    opened = error.context_mark
    if opened is not None and error.context == "while scanning a quoted scalar" and "end of stream" in (error.problem or ""):
        return BadInput("is not YAML: the quote that opens here is never closed", place=Place(file, opened.line + 1), right="close it")
    said = error.problem or error.context or "no reason given"
    if said.startswith("but") and error.context:
        said = f"{error.context}, {said}"
    return BadInput(f"is not YAML: {said}", place=Place(file, line), right="check indentation, quotes and brackets near this line")
