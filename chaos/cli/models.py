"""The verbs that need models alone: ``formulas``, and what ``predict`` does beside predicting a run (levels compared, scalability)."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli.output import note, put, show, show_json
from chaos.core.errors import BadInput

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.experiment.fleet import Fleet
    from chaos.predict.scalability import Scalability


def formulas(arguments: argparse.Namespace) -> int:
    """The articles' formulas: printed, what they mean, corrected, each with an example."""
    from chaos.predict.formulas_table import HEADS, NOTES, table

    rows = table(arguments.lang)
    if arguments.json:
        show_json(rows)
        return 0
    heads = HEADS[arguments.lang]
    parts = []
    for row in rows:
        value = "–" if row.corrected_value is None else f"{row.corrected_value:.6g}"
        # The glyphs of the one language are twice as wide as those of the other: labels are set apart by a line, not by columns.
        parts.append(
            f"{row.name}\n  {heads[0]}: {row.printed}\n  {heads[1]}: {row.meaning}\n  {heads[2]}: {row.corrected}\n"
            f"  {heads[3]}: {row.example}: {heads[4]} {row.printed_value:.6g}, {heads[5]} {value}"
        )
    show("\n\n".join([*parts, NOTES[arguments.lang]]))
    return 0


def sweep(arguments: argparse.Namespace, ordered: Ordered) -> int:
    """Levels compared: a table and a picture of nines, downtime and cost."""
    from chaos.predict.run import facts_from_plan
    from chaos.predict.sweep import axis
    from chaos.predict.sweep import sweep as compare
    from chaos.report.pages.sweep import page, text

    axes = [axis(each) for each in arguments.sweep]
    found = compare(ordered.plan, facts_from_plan(ordered.plan), axes, arguments.cost_per_node)
    if arguments.html is not None:
        put(page(found, ordered.experiment.name), arguments.html)
        note(f"Wrote {arguments.html}")
    if arguments.json:
        show_json(found)
    else:
        show(text(found))
    return 0


def scalability(arguments: argparse.Namespace) -> int:
    """The law that fits measured throughput, or the reason why the measurement says nothing."""
    from chaos.predict.scalability import read

    found = read(Path(arguments.throughput))
    if arguments.json:
        show_json(found)
    else:
        show(_scales(found))
    return 0


def _scales(found: Scalability) -> str:
    from chaos.report import format as say
    from chaos.report.table import make, right, text

    rows = [[str(nodes), f"{found.fitted_per_s[nodes]:,.0f}", say.percent(share)] for nodes, share in found.efficiency.items()]
    table = text(make("", [right("nodes"), right("fitted, 1/s"), right("efficiency")], rows))
    peak = "no peak" if found.peak_nodes is None else f"slower beyond {found.peak_nodes:.1f} nodes"
    return (
        f"At a latency of at most {say.seconds(found.objective_s)}:\n{table}\n"
        f"contention {found.contention:.3g}, coherency {found.coherency:.3g}; {peak}; "
        f"largest error of the fit {say.percent(found.worst_error)}"
    )


def simulate(arguments: argparse.Namespace) -> int:
    """Many lives of a fleet, and what they say."""
    import time

    from chaos.predict.fleet import replicate
    from chaos.predict.fleet.estimates import simulated
    from chaos.report.format import count

    fleet = _fleet(arguments)
    slow = replicate.why_slow() if arguments.dask is None else ""
    if slow:
        note(f"nines: the compiled loop is not available ({slow}); Python's own gives the same figures, about 150 times slower")
    began_s = time.monotonic()
    cores = arguments.processes or min(os.cpu_count() or 1, fleet.replications)
    with replicate.dask(arguments.dask) if arguments.dask is not None else replicate.processes(cores) as (pool, workers):
        lives = replicate.all_lives(fleet, pool, workers)
    found = simulated(fleet, lives)
    note(f"nines: {found.changes:,} state changes in {time.monotonic() - began_s:.1f} s, with {count(workers, 'worker')}")
    if arguments.json:
        show_json(found)
        return 0
    from chaos.report.pages.fleet import render

    show(render(found))
    return 0


def _fleet(arguments: argparse.Namespace) -> Fleet:
    """The file's, with what the command line says instead."""
    from chaos.experiment.fleet import load_fleet, parse_fleet
    from chaos.experiment.source import read_text

    if arguments.set:
        raise BadInput("--set changes experiments, not fleets", right="--years, --replications, --seed")
    path = Path(arguments.file)
    given = {name: getattr(arguments, name) for name in ("years", "replications", "seed") if getattr(arguments, name) is not None}
    return parse_fleet(read_text(path), str(path), given) if given else load_fleet(path)


def checked(arguments: argparse.Namespace) -> None:
    """``BadInput`` for options of a sweep without one."""
    if not arguments.sweep and (arguments.cost_per_node is not None or arguments.html is not None):
        raise BadInput("--cost-per-node and --html need --sweep", right="--sweep nodes=1..9")
    only = [f"--{name}" for name in ("years", "replications", "processes", "dask") if getattr(arguments, name) is not None]
    if only and not arguments.simulate:
        raise BadInput(f"{' and '.join(only)} without --simulate", right="nines predict fleet.yaml --simulate")
    if arguments.simulate:
        others = [f"--{name}" for name in ("window", "sweep", "throughput", "runtime") if getattr(arguments, name)]
        if others:
            raise BadInput(f"--simulate and {others[0]} exclude each other", right="one of them")
        if arguments.dask is not None and arguments.processes is not None:
            raise BadInput("--dask and --processes exclude each other", right="one of them")
        if arguments.processes is not None and arguments.processes < 1:
            raise BadInput(f"--processes {arguments.processes}", right="1 or more")


def within(ordered: Ordered, window: str) -> Ordered:
    """The same experiment with another window of production to speak of."""
    from msgspec.structs import replace

    from chaos.core.units import WrongUnit, duration_s

    try:
        window_s = duration_s(window)
    except WrongUnit as error:
        raise BadInput(f"--window: {error}") from None
    if not 0 < window_s < float("inf"):
        raise BadInput(f"--window: '{window}' is not a duration", right="more than 0, e.g. 30d")
    experiment = replace(ordered.plan.experiment, slo=replace(ordered.plan.experiment.slo, window_s=window_s))
    return replace(ordered, experiment=experiment, plan=replace(ordered.plan, experiment=experiment))
