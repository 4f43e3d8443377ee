"""Pages and drawings from the templates of this package: Jinja escapes every value, and nothing of ours is escaped by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from chaos.core.escaping import markdown, markdown_code, terminal
from chaos.report.svg.drawing import Drawing, length

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = "templates"
_AMOUNT: Final = re.compile(r"(?<=[0-9–]) (?=(?:%|ms|s|min|h|d)(?![A-Za-z0-9]))")
"""Between a number and its unit: no line is broken there."""


class Whole(str):
    """A text that is shown as it is, line ends and all: it is escaped once more, and not made visible."""

    __slots__ = ()


def render(template: str, **values: object) -> str:
    """A template filled with values."""
    return _environment().get_template(template).render(values)


class Ready(str):
    """Markdown of ours, which is not escaped again."""

    __slots__ = ()


def render_markdown(template: str, **values: object) -> str:
    """The same for a page in Markdown; the filter ``code`` makes a span of code."""
    return _markdown_environment().get_template(template).render(values).rstrip() + "\n"


def svg(drawing: Drawing, width: int) -> str:
    """A drawing as a file of its own: with its style, so many pixels wide."""
    return f"{_environment().get_template('drawing.svg.j2').module.svg(drawing, width)}\n"  # type: ignore[attr-defined]


@cache
def _environment() -> Environment:
    environment = _made(autoescape=True, finalize=_visible)
    environment.filters["tenth"] = length
    environment.filters["tight"] = lambda text: _AMOUNT.sub("\u00a0", text)
    environment.globals["t"] = str  # a page in one language
    return environment


@cache
def _markdown_environment() -> Environment:
    environment = _made(autoescape=False, finalize=_as_markdown)
    environment.filters["code"] = lambda text: Ready(markdown_code(text))
    return environment


def _made(*, autoescape: bool, finalize: Callable[[object], object]) -> Environment:
    """Loaded only where a page is made; undefined names are an error, not an empty place."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("chaos.report", TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - Markdown is escaped by its own rules, see ``_as_markdown``
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _visible(value: object) -> object:
    """Text of others without characters that steer or cannot be shown. What a template made itself is not touched."""
    return terminal(value) if type(value) is str else value


def _as_markdown(value: object) -> object:
    """Every value but ``Ready`` ones loses its meaning as markup."""
    return value if isinstance(value, Ready) else markdown(str(value))
