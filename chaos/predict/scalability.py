"""Scalability as it is meant: measured throughput at a fixed latency objective against the number of nodes.

Efficiency is (X_n / X_1) / (n / 1) (with the smallest measured cluster in place of 1). The universal scalability law (Gunther 2007)

    X(n) = g n / (1 + s (n - 1) + k n (n - 1))

has a throughput g of one node, a share s that is serial (contention) and a cost k of keeping each pair of nodes in agreement
(coherency); with k > 0 it has a peak at n = sqrt((1 - s) / k). n / X(n) is linear in g^-1, s/g and k/g, which are found by least
squares under the condition that none is negative. A measurement in which the host itself was the limit says nothing about the
system: it is refused, and so are points at different latency objectives, or that missed theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from chaos.core.errors import BadInput
from chaos.core.units import duration_s, rate_per_s, ratio, show_s

if TYPE_CHECKING:
    from pathlib import Path

BUSY: Final = 0.9
"""A host that is busier than this is the limit."""
LEAST: Final = 3
NO_COST: Final = 1e-9
"""A smaller coherency is rounding, not a cost."""


class Point(msgspec.Struct, frozen=True):
    """One measurement: so many good answers a second from so many nodes; the 99th percentile of their latency; how busy the host was."""

    nodes: int
    per_s: float
    latency_s: float
    host_busy: float
    """Over all its cores, 0 to 1; load generator included."""


class Scalability(msgspec.Struct, frozen=True):
    """The law that fits, and the efficiency at each measured size."""

    objective_s: float
    one_node_per_s: float
    contention: float
    coherency: float
    peak_nodes: float | None
    """More nodes than this make it slower; None if there is no such number."""
    efficiency: dict[int, float]
    fitted_per_s: dict[int, float]
    worst_error: float
    """The largest relative difference between a point and the law."""


def fit(points: Sequence[Point], objective_s: float) -> Scalability:
    """The universal scalability law; ``BadInput`` where the points say nothing about the system."""
    _checked(points, objective_s)
    ordered = sorted(points, key=lambda point: point.nodes)
    from scipy.optimize import nnls

    nodes = np.array([point.nodes for point in ordered], dtype=np.float64)
    rates = np.array([point.per_s for point in ordered])
    # n / X(n) = (1/g) + (s/g) (n - 1) + (k/g) n (n - 1); weighted by X/n so that relative errors count.
    columns = np.stack([np.ones_like(nodes), nodes - 1, nodes * (nodes - 1)], axis=1)
    found, _ = nnls(columns * (rates / nodes)[:, None], np.ones_like(nodes))
    if found[0] <= 0:
        raise BadInput("no law fits: the throughput rises faster than the number of nodes", right="the same load and settings at each size")
    one, contention, coherency = 1 / found[0], found[1] / found[0], found[2] / found[0]
    fitted = nodes / (columns @ found)
    peak = math.sqrt((1 - contention) / coherency) if coherency > NO_COST and contention < 1 else None
    base = ordered[0]
    return Scalability(
        objective_s=objective_s,
        one_node_per_s=float(one),
        contention=float(contention),
        coherency=float(coherency),
        peak_nodes=peak,
        efficiency={point.nodes: (point.per_s / base.per_s) / (point.nodes / base.nodes) for point in ordered},
        fitted_per_s={point.nodes: float(value) for point, value in zip(ordered, fitted, strict=True)},
        worst_error=float(np.max(np.abs(fitted / rates - 1))),
    )


def _checked(points: Sequence[Point], objective_s: float) -> None:
    if not (objective_s > 0 and math.isfinite(objective_s)):
        raise BadInput(f"a latency objective of {objective_s} s", right="above 0 and finite")
    if len({point.nodes for point in points}) < LEAST or len({point.nodes for point in points}) != len(points):
        raise BadInput("a fit needs throughput at three different numbers of nodes or more, each once", right="such as 1, 3, 5 and 7")
    for point in points:
        if point.nodes < 1 or not (point.per_s > 0 and math.isfinite(point.per_s)):
            raise BadInput(f"{point.per_s} answers a second from {point.nodes} nodes", right="both above 0")
        if not (0 <= point.host_busy <= 1 and point.latency_s >= 0):
            raise BadInput(f"{point.nodes} nodes: a busy share of {point.host_busy}, a latency of {point.latency_s} s")
        if point.host_busy > BUSY:
            raise BadInput(
                f"at {point.nodes} nodes the host was {point.host_busy:.0%} busy: the host was the limit, not the system",
                right="limit each node's CPU (resources: {cpus: 0.2}) so that all of them fit, or use more cores",
            )
        if point.latency_s > objective_s:
            raise BadInput(
                f"at {point.nodes} nodes latency was {show_s(point.latency_s)}, above the objective of {show_s(objective_s)}",
                right="the highest throughput that still meets the objective, at each size",
            )


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    nodes: int
    throughput: str
    latency: str
    host_busy: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    latency_objective: str
    points: list[_Written]


def read(path: Path) -> Scalability:
    """From a YAML file: ``latency_objective: 50ms`` and ``points: [{nodes: 1, throughput: 900/s, latency: 12ms, host_busy: 40%}, ...]``."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from None
    try:
        told = msgspec.convert(yaml.safe_load(text), _File)
        points = [Point(each.nodes, rate_per_s(each.throughput), duration_s(each.latency), ratio(each.host_busy)) for each in told.points]
        objective_s = duration_s(told.latency_objective)
    except (yaml.YAMLError, msgspec.ValidationError, ValueError) as error:
        raise BadInput(
            f"{path}: {error}", right="{latency_objective: 50ms, points: [{nodes: 1, throughput: 900/s, latency: 12ms, host_busy: 40%}]}"
        ) from None
    return fit(points, objective_s)
