"""What a drawing is: a box with shapes, as values. ``templates/drawing.svg.j2`` makes SVG of it, and escapes every text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

SOFT: Final = "soft"
NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})


class Shape(NamedTuple):
    """One element of SVG, or a group of them; lengths are written as they stand."""

    tag: str
    style: str = ""
    """Classes of the style sheet."""
    places: Mapping[str, str] = NOWHERE
    """Attributes."""
    title: str = ""
    """What a reader hears, and sees when pointing at it."""
    text: str = ""
    inside: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Shapes in a box of ``width`` by ``height``; ``label`` says all of it to those who do not see it, and is empty for mere decoration."""

    width: float
    height: float
    label: str
    shapes: tuple[Shape, ...]


def drawing(width: float, height: float, label: str, shapes: Iterable[Shape]) -> Drawing:
    """A drawing."""
    return Drawing(width, height, label, tuple(shapes))


def rect(x: float, y: float, width: float, height: float, style: str, *, title: str = "", round_: float = 0, **more: str) -> Shape:
    """A rectangle."""
    places = {"x": length(x), "y": length(y), "width": length(width), "height": length(height)}
    return Shape("rect", style, places | ({"rx": length(round_)} if round_ else {}) | _names(more), title)


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> Shape:
    """A straight line."""
    return Shape("line", style, {"x1": length(x1), "y1": length(y1), "x2": length(x2), "y2": length(y2)})


def path(d: str, style: str, **more: str) -> Shape:
    """A path."""
    return Shape("path", style, {"d": d} | _names(more))


def circle(x: float, y: float, radius: float, style: str) -> Shape:
    """A dot."""
    return Shape("circle", style, {"cx": length(x), "cy": length(y), "r": length(radius)})


def words(x: float, y: float, text: str, style: str = "", anchor: str = "") -> Shape:
    """Words, from ``x`` on; ``anchor``: around it (``middle``) or up to it (``end``)."""
    places = {"x": length(x), "y": length(y)} | ({"text-anchor": anchor} if anchor else {})
    return Shape("text", style, places, text=text)


def length(value: float) -> str:
    """A tenth of a unit is less than anybody sees."""
    return f"{value:.1f}".removesuffix(".0")


def _names(more: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in more.items()}
