"""Pages and drawings from the templates of this package: Jinja escapes every value, and nothing of ours is escaped by hand."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from chaos.core.escaping import terminal
from chaos.report.svg.drawing import Drawing, length

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = "templates"


class Whole(str):
    """A text that is shown as it is, line ends and all: it is escaped once more, and not made visible."""

    __slots__ = ()


def render(template: str, **values: object) -> str:
    """A template filled with values."""
    return _environment().get_template(template).render(values)


def svg(drawing: Drawing, width: int) -> str:
    """A drawing as a file of its own: with its style, so many pixels wide."""
    return f"{_environment().get_template('drawing.svg.j2').module.svg(drawing, width)}\n"  # type: ignore[attr-defined]


@cache
def _environment() -> Environment:
    """Loaded only where a page is made; undefined names are an error, not an empty place."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("chaos.report", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["tenth"] = length
    return environment


def _visible(value: object) -> object:
    """Text of others without characters that steer or cannot be shown. What a template made itself is not touched."""
    return terminal(value) if type(value) is str else value
