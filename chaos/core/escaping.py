"""Text of others (nodes, targets, experiments) in an output of ours: one function for each medium, and one that covers a whole report.

Whatever cannot be seen, or steers what shows it, becomes a visible escape first: control characters (ESC, OSC, CR, NUL, C1), marks that
turn the direction of text, line separators, lone surrogates, and what is no character at all. After that each medium has signs of its own;
those of HTML are the template engine's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

Text = Callable[[str], str]
Shown = TypeVar("Shown", bound=msgspec.Struct)

_UNSEEN: Final = (
    "\x00-\x1f\x7f-\x9f"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    "\U000e0000-\U000e007f" + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
)
_CELL: Final = re.compile(f"[{_UNSEEN}]")
_PAGE: Final = re.compile(f"(?!\n)[{_UNSEEN}]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_MARKDOWN: Final = re.compile(r"[\\|`*\[\]~$]|(?<!\w)_|_(?!\w)")
_MARKDOWN_START: Final = re.compile(r"^(\s*(?:\d+(?=[.)]))?)([#+>=.)-])")
_LINKS: Final = re.compile(r"(?<=[A-Za-z])(?=://)|(?<=www)(?=\.)|(?<=mailto)(?=:)", re.IGNORECASE)


def terminal(text: str) -> str:
    """One cell or line for a terminal: no character moves the cursor, sets a title, begins a line or turns the direction."""
    return text if text.isascii() and text.isprintable() else _CELL.sub(_visible, text)


def page(text: str) -> str:
    """A whole page for a terminal, lines of ours and all; escapes are those of JSON, so that what is JSON stays so."""
    return _PAGE.sub(_as_json, text)


def xml(text: str) -> str:
    """Text that XML 1.0 can hold; its signs (``<``, ``&``, ``]]>``) are the writer's business."""
    return terminal(text)


def markdown(text: str) -> str:
    """Text in a cell, a list or a line: no table, code, emphasis, heading, link, image, formula or markup comes of it."""
    text = _MARKDOWN.sub(lambda match: f"\\{match[0]}", terminal(text))
    text = _MARKDOWN_START.sub(r"\1\\\2", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return _LINKS.sub("\N{WORD JOINER}", text)


def markdown_code(text: str, *, in_table: bool = False) -> str:
    """A span of code: its fence is longer than any in the text. In a table ``|`` still ends a cell, and is escaped."""
    text = terminal(text).replace("|", "\\|" if in_table else "|")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}" if text else ""


def every(shown: Shown, medium: Text) -> Shown:
    """The same value with each of its texts, names of entries included, as the medium needs it: so no field is forgotten."""
    return msgspec.convert(_each(msgspec.to_builtins(shown), medium), type(shown))


def _each(value: object, medium: Text) -> object:
    match value:
        case str():
            return medium(value)
        case dict():
            return {medium(key) if isinstance(key, str) else key: _each(item, medium) for key, item in value.items()}
        case list() | tuple():
            return [_each(item, medium) for item in value]
        case _:
            return value


def _visible(match: re.Match[str]) -> str:
    sign = match[0]
    number = ord(sign)
    return _SHORT.get(sign) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}")


def _as_json(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
