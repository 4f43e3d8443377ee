"""Asking a node a question that its target declares, and judging the answer: ready, roles, pings, marks.

A question (``target.Ask``, templates already filled) is an HTTP request or a TCP connect. ``json`` adds an expression that
must hold for the answer:

    leader                              the path is there, and is not false, 0, "", null or empty
    state=leader                        its value, as text, is this text (quotes around it are taken off)
    leader != 0                         it is there and its value is another one
    leader == header.member_id          both paths are there, and their values are the same text

A path that is not in the answer makes *every* expression false: an answer that does not say is not a yes. Paths are dotted;
a number picks from a list. Text of a value: strings as they are, anything else as JSON writes it (``true``, ``7``, ``null``).
"""

from __future__ import annotations

import enum
import functools
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chaos.core.errors import BadInput
from chaos.core.escaping import terminal
from chaos.experiment.target.spec import Ask

_PATH: Final = r"[^\s=!\"'.]+(?:\.[^\s=!\"'.]+)*"
_EXPRESSION: Final = re.compile(rf"\s*({_PATH})\s*(?:(==|!=|=)\s*(.*?)\s*)?", re.DOTALL)
_RIGHT: Final = "write `path`, `path=value`, `path != value` or `path == other.path`"


class Operator(enum.StrEnum):
    """How the two sides are compared."""

    THERE = "there"
    IS = "="
    IS_NOT = "!="
    SAME = "=="


class Expression(msgspec.Struct, frozen=True):
    """A parsed ``json:`` line. ``right`` is text for ``=`` and ``!=``, a dotted path for ``==``, empty otherwise."""

    path: str
    operator: Operator = Operator.THERE
    right: str = ""


class Question(msgspec.Struct, frozen=True):
    """An ``Ask`` made ready to send: without ``request`` and ``expect`` it is a mere TCP connect, with ``expect`` a text is awaited."""

    host: str
    port: int
    request: bytes
    status: int | None
    expression: Expression | None
    expect: bytes | None = None
    tls: bool = False


def unescaped(text: str) -> str:
    """``"a\\\\r\\\\n"`` as written -> with its control characters. ``BadInput`` for an escape that is none of those.

    A byte from 0x80 that is written as ``\\\\xNN`` becomes the surrogate that ``as_bytes`` turns into this byte again.
    """
    return _ESCAPE.sub(_plain, text)


def as_bytes(text: str) -> bytes:
    """What goes over the wire: UTF-8, and the bytes that were written as such."""
    return text.encode("utf-8", "surrogateescape")


def _plain(match: re.Match[str]) -> str:
    written = match[0]
    if written in _ESCAPES:
        return _ESCAPES[written]
    if len(written) == 4:
        return bytes([int(written[2:], 16)]).decode("utf-8", "surrogateescape")
    raise BadInput(f"unknown escape '{written}'", right=r"\r \n \t \0 \\ or \xNN with two hexadecimal digits; \\ is a backslash")


def parse(expression: str) -> Expression:
    """The parsed form; ``BadInput`` says what would be right."""
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise BadInput(f"'{expression}' is not an expression", right=_RIGHT)
    path, sign, right = match[1], match[2], match[3] or ""
    if sign is None:
        return Expression(path)
    quoted = len(right) >= 2 and right[0] == right[-1] and right[0] in "\"'"
    if not right:
        raise BadInput(f"'{expression}' has nothing to compare with", right=f"for an empty text: {path}{sign}''")
    if sign == "!=":
        return Expression(path, Operator.IS_NOT, right[1:-1] if quoted else right)
    if sign == "=" or quoted:
        return Expression(path, Operator.IS, right[1:-1] if quoted else right)
    if not re.fullmatch(_PATH, right):
        raise BadInput(f"'{right}' in '{expression}' is not a path", right=_RIGHT)
    return Expression(path, Operator.SAME, right)


_INDEX: Final = re.compile(r"[0-9]{1,9}")
_NOWHERE: Final = object()
_ESCAPES: Final = {"\\r": "\r", "\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}
_ESCAPE: Final = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|.|$)", re.DOTALL)


def look_up(document: object, path: str) -> object | None:
    """The value at a dotted path; None where there is none (or where it is null)."""
    found = _find(document, path)
    return None if found is _NOWHERE else found


def why_not(expression: Expression, document: object) -> str | None:
    """None if it holds; else one clause that says why it does not."""
    left = _find(document, expression.path)
    if left is _NOWHERE:
        return f"the answer has no '{expression.path}'"
    match expression.operator:
        case Operator.THERE:
            return None if left else f"{expression.path} is {terminal(_text(left)) or 'empty'}"
        case Operator.IS:
            return None if _text(left) == expression.right else f"{expression.path} is {terminal(_text(left))}, not {expression.right}"
        case Operator.IS_NOT:
            return f"{expression.path} is {expression.right}" if _text(left) == expression.right else None
        case Operator.SAME:
            right = _find(document, expression.right)
            if right is _NOWHERE:
                hint = f"to compare with the text, write {expression.path}={expression.right}"
                return f"the answer has no '{expression.right}' ({hint})"
            same = _text(left) == _text(right)
            return None if same else f"{expression.path} is {terminal(_text(left))}, {expression.right} is {terminal(_text(right))}"


def _find(document: object, path: str) -> object:
    here = document
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step, _NOWHERE)
        elif isinstance(here, list) and _INDEX.fullmatch(step) and int(step) < len(here):
            here = here[int(step)]
        else:
            return _NOWHERE
        if here is _NOWHERE:
            return _NOWHERE
    return here


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@functools.lru_cache(maxsize=1024)
def prepare(ask: Ask, keep_alive: bool = False) -> Question:
    """An ``Ask`` as bytes and an address; ``BadInput`` where it cannot be asked."""
    expression = parse(ask.json) if ask.json is not None else None
    if (ask.http is None) == (ask.tcp is None):
        raise BadInput("a question needs exactly one of http and tcp")
    if ask.tcp is not None:
        if expression is not None or ask.body is not None or ask.status is not None:
            raise BadInput("a tcp question has no answer to look into", right="only http takes json, body and status")
        host, _, port = ask.tcp.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) < 65_536:
            raise BadInput(f"'{ask.tcp}' is no address", right="host:port")
        expect = None if ask.expect is None else as_bytes(unescaped(ask.expect))
        return Question(host, int(port), as_bytes(unescaped(ask.send or "")), None, None, expect, ask.tls)
    if ask.tls:
        raise BadInput("'tls' is of 'tcp'", right="https://host:port/path")
    try:
        url = urlsplit(ask.http or "")
        port_number = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise BadInput(f"'{ask.http}' is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise BadInput(f"'{ask.http}' cannot be asked", right="http://host:port/path")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    request = request_bytes(url.hostname, port_number, path, ask.body, keep_alive=keep_alive)
    return Question(url.hostname, port_number, request, ask.status, expression, tls=url.scheme == "https")


def request_bytes(host: str, port: int, path: str, body: str | None, *, keep_alive: bool) -> bytes:
    """A GET, or a POST of JSON where a body is given."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {host}:{port}", "Accept: application/json, */*"]
    content = b"" if body is None else body.encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
