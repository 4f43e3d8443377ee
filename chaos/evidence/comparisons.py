"""Two sides of the history held against each other, configuration by configuration: only runs of one configuration are compared unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from chaos.core.errors import BadInput, NinesError
from chaos.evidence.compare import MEASURES, Comparison, compare, overall
from chaos.evidence.rows import KeptRun
from chaos.evidence.sides import Side
from chaos.evidence.store import Store
from chaos.history.folder import RunFolder

SHOWN: Final = 5
"""So many differences of two configurations are named."""
_BESIDE: Final = ("name", "question", "objectives", "file", "seed", "expect_verdict", "predict", "abort_if")
"""What may differ within one configuration."""


def held_against(store: Store, old: Side, new: Side, *, margin: float, measures: Sequence[str] = MEASURES) -> list[Comparison]:
    """One comparison for each configuration that both sides have; where none is shared and each side has one, those two.

    ``BadInput`` where there is nothing to compare.
    """
    olds, news = old.configurations(store), new.configurations(store)
    for kept, which in ((olds, old), (news, new)):
        if not kept:
            right = "runs that were aborted, interrupted or invalid prove nothing"
            raise BadInput(f"no run of '{which.label}' counts as evidence", right=right)
    shared = [name for name in news if name in olds]
    if shared:
        return [_one(store, old, new, name, name, olds, news, margin, measures) for name in shared]
    if len(olds) == len(news) == 1:
        mine, yours = next(iter(olds)), next(iter(news))
        only = _one(store, old, new, mine, yours, olds, news, margin, measures)
        differ = _differences(olds[mine][0], news[yours][0])
        return [msgspec.structs.replace(only, cautions=[f"These are runs of two configurations, so a difference may be theirs: {differ}."])]
    raise BadInput(
        f"'{old.label}' and '{new.label}' have no configuration in common",
        right=f"{_named(olds)} against {_named(news)}: name single runs to compare them all the same",
    )


def _one(
    store: Store, old: Side, new: Side, mine: str, yours: str, olds: Mapping[str, Sequence[KeptRun]], news: Mapping[str, Sequence[KeptRun]],
    margin: float, measures: Sequence[str],
) -> Comparison:  # fmt: skip
    before, now = old.trials(store, mine), new.trials(store, yours)
    rows = compare(before, now, margin=margin, measures=measures)
    return Comparison(
        configuration=yours,
        experiment=news[yours][0].experiment,
        old=old.label,
        new=new.label,
        old_runs=len(olds[mine]),
        new_runs=len(news[yours]),
        old_faults=len(before.run),
        new_faults=len(now.run),
        margin=margin,
        verdict=overall(rows),
        rows=rows,
    )


def _named(found: Mapping[str, Sequence[KeptRun]]) -> str:
    return ", ".join(sorted({runs[0].experiment for runs in found.values()}))


def _differences(old: KeptRun, new: KeptRun) -> str:
    """What their plans say, where their folders are still there."""
    try:
        plans = [msgspec.to_builtins(RunFolder(Path(run.folder)).read_plan()) for run in (old, new)]
    except NinesError:
        return f"{old.experiment} on {old.runtime}, {new.experiment} on {new.runtime}"
    before, after = (dict(_flat(plan["experiment"])) | {"runtime": plan["runtime"]} for plan in plans)
    found = [f"{key} {before.get(key)} / {after.get(key)}" for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    told = [
        each for each in found if each.split(" ")[0].split(".")[0] not in _BESIDE and not each.split(" ")[0].endswith((".line", ".path"))
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more if told else "their targets are declared differently"


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Each single value of a document with its dotted path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        for place, item in enumerate(value):
            yield from _flat(item, f"{path}.{place}")
    else:
        yield path, value
