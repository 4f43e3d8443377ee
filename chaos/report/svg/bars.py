"""Bars: a figure seen beside a figure predicted, each with its interval; and an outage cut into its phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chaos.core.escaping import html as escape
from chaos.report.format import Show
from chaos.results.observed import PHASES, Estimate, Outage
from chaos.results.predicted import Range

WIDTH: Final = 420
LEFT: Final = 8
RIGHT: Final = 412


def interval_bars(seen: Estimate, model: Range | None, show: Show) -> str:
    """Two lines on one scale: what was seen (dot, whiskers) over what a run like this should show (diamond, band)."""
    points = [each for each in (seen.value, seen.low, seen.high) if each is not None]
    if model is not None:
        points += [each for each in (model.value, model.low, model.high) if each is not None]
    if not points:
        return ""
    low, high = min(points), max(points)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / (high - low)

    parts = [f'<line x1="{LEFT}" x2="{RIGHT}" y1="20" y2="20" class="grid"/>']
    if model is not None and model.value is not None:
        if model.low is not None and model.high is not None:
            wide = max(x(model.high) - x(model.low), 2)
            parts.append(f'<rect x="{x(model.low):.1f}" y="23" width="{wide:.1f}" height="11" rx="2" class="model-band"/>')
        centre = x(model.value)
        parts.append(f'<path d="M{centre:.1f} 22.5 l6 6 l-6 6 l-6 -6 z" class="model"/>')
    if seen.value is not None:
        if seen.low is not None and seen.high is not None:
            left, right = x(seen.low), x(seen.high)
            parts.append(
                f'<path d="M{left:.1f} 6 v10 M{left:.1f} 11 H{right:.1f} M{right:.1f} 6 v10" class="seen" fill="none" stroke-width="1.6"/>'
            )
        parts.append(f'<circle cx="{x(seen.value):.1f}" cy="11" r="4.5" class="seen"/>')
    said = f"observed {show(seen.value)}" + (f", predicted {show(model.value)}" if model is not None else "")
    return f'<svg viewBox="0 0 {WIDTH} 38" role="img" aria-label="{escape(said)}"><title>{escape(said)}</title>{"".join(parts)}</svg>'


def phase_bars(outage: Outage, longest_s: float, show: Show) -> str:
    """The outage as a stack of its phases, above a thinner stack of the phases predicted, on one scale for all outages."""
    seen = [(name, outage.phases[name].observed_s) for name in PHASES if name in outage.phases]
    model = [(name, outage.phases[name].predicted_s) for name in PHASES if name in outage.phases]
    said = ", ".join(f"{name} {show(value)}" for name, value in seen if value)
    body = _stack(seen, longest_s, 1, 14, show, "") + _stack(model, longest_s, 18, 5, show, "predicted ")
    return f'<svg viewBox="0 0 520 24" role="img" aria-label="{escape(said)}"><title>{escape(said)}</title>{body}</svg>'


def css_class(phase: str) -> str:
    """The colour of a phase, as a class of the page's style sheet."""
    return phase.replace("+", "-")


def _stack(parts: Sequence[tuple[str, float | None]], longest_s: float, y: float, height: float, show: Show, word: str) -> str:
    out, x = "", 0.0
    for name, value in parts:
        if not value or longest_s <= 0:
            continue
        width = 516 * value / longest_s
        out += (
            f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.8, 0.6):.1f}" height="{height}" class="{css_class(name)}">'
            f"<title>{word}{name} {escape(show(value))}</title></rect>"
        )
        x += width
    return out


def share_bar(part: float, whole: float) -> str:
    """One plain bar, ``part`` of ``whole``."""
    width = 0.0 if whole <= 0 else 300 * max(min(part / whole, 1.0), 0.0)
    return f'<svg viewBox="0 0 300 14" aria-hidden="true"><rect x="0" y="1" width="{width:.1f}" height="12" rx="2" class="bar"/></svg>'
