"""``nines explore``: look for schedules of faults that break an objective, shrink one that does, save it as an experiment."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chaos.cli.output import note, put, show, show_json
from chaos.core.errors import BadInput
from chaos.core.units import WrongUnit, duration_s, show_s

if TYPE_CHECKING:
    from chaos.explore.ahead import Drawn, Source
    from chaos.explore.search import Explored, Trial

FAILS: Final = 1
UNKNOWN: Final = 3
TOLD_EVERY_S: Final = 5.0
"""In virtual time hundreds of runs go by in a second; on a real cluster each is told."""
MOST_SHOWN: Final = 200


def explore(arguments: argparse.Namespace) -> int:
    """0: nothing found; 1: an objective was broken; 3: no run told anything."""
    from chaos.experiment.source import read_text
    from chaos.explore.ahead import Source
    from chaos.explore.draw import Bounds
    from chaos.explore.menu import menu
    from chaos.explore.search import Search
    from chaos.explore.trial import bench
    from chaos.history import identity

    file = Path(arguments.file)
    budget_s, length_s = _duration_s("--for", arguments.lasts), _duration_s("--length", arguments.length)
    if arguments.most_faults < 1 or arguments.schedules < 1 or arguments.jobs < 1:
        raise BadInput("--most-faults, --schedules and --jobs are at least 1")
    made = bench(read_text(file), file, arguments.runtime, arguments.set)
    plan = made.planned((), 1)
    kinds = [kind.strip() for kind in (arguments.kinds or "").split(",") if kind.strip()]
    whole = menu(made.document.root, [node.name for node in plan.nodes], has_roles=plan.has_roles, kinds=kinds)
    offered, refused = made.possible(whole)
    seed = made.base.seed if arguments.seed is None else arguments.seed
    source = Source(made, offered, Bounds(arguments.most_faults, length_s), seed)
    folder = Path(arguments.folder) if arguments.folder else Path("runs") / identity.stamped(f"explore-{made.base.name}")
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty", right="name another folder, or leave --folder out")
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.quiet:
        _introduce(source, folder, budget_s, refused)
    with _drawn(source, folder / "trials", arguments.jobs) as drawn:
        told = _Told(virtual=made.virtual, quiet=arguments.quiet)
        explored = Search(source, drawn, folder, budget_s, arguments.schedules, time.monotonic, told.trial).explore()
    if arguments.output is not None and explored.saved:
        put(made.document.found(explored.least or (), 1, explored.broke, Path(arguments.output).parent), arguments.output)
    if arguments.json:
        show_json(explored)
    else:
        show(story(explored, arguments.output or explored.saved))
    if explored.found is not None or explored.seldom:
        return FAILS
    return 0 if explored.held else UNKNOWN


def _duration_s(option: str, text: str) -> float:
    try:
        found_s = duration_s(text)
    except WrongUnit as error:
        raise BadInput(f"{option}: {error}") from None
    if found_s <= 0:
        raise BadInput(f"{option} {text} leaves no time", right=f"{option} 10m")
    return found_s


@contextlib.contextmanager
def _drawn(source: Source, folder: Path, jobs: int) -> Iterator[Iterator[Drawn]]:
    """Real clusters run alone: a second one would spoil what clients see."""
    from chaos.explore.ahead import one_by_one, spread

    drawn = spread(source, folder, jobs) if source.bench.virtual and jobs > 1 else one_by_one(source, folder)
    try:
        yield drawn
    finally:
        drawn.close()


def _introduce(source: Source, folder: Path, budget_s: float, refused: list[str]) -> None:
    bench, bounds = source.bench, source.bounds
    kinds = ", ".join(dict.fromkeys(choice.kind for choice in source.menu.choices))
    limit = bench.document.limit
    whose = "limits.nodes_down" if bench.document.stated else "a minority, since the file states no limits.nodes_down"
    note(f"{bench.base.name}: up to {show_s(budget_s)} on the runtime '{bench.runtime}', seed {source.seed}, into {folder}")
    note(f"schedules of 1 to {bounds.most_faults} faults within {show_s(bounds.length_s)}: {kinds}; at most {limit} nodes down ({whose})")
    for each in refused:
        note(f"not drawn: {each}")


class _Told:
    """Progress on standard error."""

    def __init__(self, *, virtual: bool, quiet: bool) -> None:
        self._virtual, self._quiet = virtual, quiet
        self._last_s = time.monotonic()
        self._runs = 0

    def trial(self, trial: Trial) -> None:
        self._runs += 1
        if self._quiet:
            return
        if self._virtual and trial.tried.told != "fails" and time.monotonic() - self._last_s < TOLD_EVERY_S:
            return
        if self._virtual and trial.phase == "shrink" and time.monotonic() - self._last_s < TOLD_EVERY_S:
            return
        self._last_s = time.monotonic()
        what = {"fails": f"breaks {', '.join(trial.tried.broke)}", "holds": "holds", "nothing": "tells nothing"}[trial.tried.told]
        faults = "; ".join(map(str, trial.schedule))
        said = f" ({trial.tried.said[:MOST_SHOWN]})" if trial.tried.told != "holds" and trial.tried.said else ""
        note(f"run {self._runs} ({trial.phase}): {what}{said}: {faults}")


def story(explored: Explored, saved: str) -> str:
    """What the search came to, in a few sentences."""
    searched = f"{explored.schedules} schedules in {show_s(explored.took_s)} on the runtime '{explored.runtime}', seed {explored.seed}"
    lines = []
    if explored.found is not None and explored.least is not None:
        broke = " and ".join(explored.broke)
        lines.append(f"FOUND: a schedule that breaks {broke}, after {searched}.")
        lines.append(f"First failure: {explored.said}")
        count, before = len(explored.least), len(explored.found)
        smaller = f"shrunk from {before} to {_faults(count)}" if count < before else _faults(count)
        lines.append(f"Smallest schedule ({smaller}; {explored.least_seen}):")
        lines += [f"  {number}. {move}" for number, move in enumerate(explored.least, 1)]
        if not explored.complete:
            lines.append("The time ended before the shrinking did: a smaller schedule may exist. Give more time with --for.")
        lines.append(f"Reproduce: nines run {saved}")
    elif explored.seldom:
        lines.append(f"NOT REPRODUCED: {len(explored.seldom)} of {searched} failed, each too seldom to be shrunk:")
        lines += [f"  {'; '.join(map(str, schedule))}" for schedule in explored.seldom]
    elif explored.held:
        upper = explored.upper
        share = f" With 95% confidence fewer than {upper:.1%} of such schedules fail." if upper is not None else ""
        lines.append(f"NOTHING FOUND in {searched}.{share}")
    else:
        lines.append(f"NO ANSWER: none of {searched} gave a valid measurement.")
    if explored.nothing:
        lines.append(f"{explored.nothing} runs gave no valid measurement; the first: {explored.why_nothing[:MOST_SHOWN]}")
    return "\n".join(lines)


def _faults(count: int) -> str:
    return f"{count} fault{'s' * (count != 1)}"
