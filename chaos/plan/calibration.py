"""A calibration on disk: parameters of the models as they were *measured* in some runs, with how sure their means are.

``nines calibrate`` writes it, ``predict: {calibration: PATH}`` uses it. It holds for the target, the settings and the runtime that it
was measured with, and for no others. The runs it comes from are named, so that none of them is ever held against a prediction that
was fitted on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from chaos.core.errors import BadInput
from chaos.core.files import write_atomically
from chaos.core.units import Seconds
from chaos.experiment import parameters
from chaos.experiment.forms import ANY_TEXT, WHOLE, WORDS, known, listed, mapping
from chaos.experiment.source import Table, Value, parse, read_text
from chaos.experiment.tables import Field, Key, Written, table
from chaos.plan.plan import Parameter

SCHEMA: Final = 1
ORIGIN: Final = "calibration"


class Fitted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One parameter: evenly spread from ``low_s`` to ``high_s``, its mean known to a standard error of ``error_s``."""

    low_s: Seconds
    high_s: Seconds
    error_s: Seconds
    n: int
    of: str = ""
    """What was measured."""


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One phase as it was seen: ``low_s`` and ``high_s`` are the 95 % interval of its mean."""

    mean_s: Seconds
    sd_s: Seconds
    low_s: Seconds
    high_s: Seconds
    n: int
    of: str = ""


def _version(found: int, value: Value) -> int:
    if found != SCHEMA:
        raise BadInput(f"version {found} is not known", place=value.place, right=f"{SCHEMA}")
    return found


def _spread(fitted: Fitted, value: Value) -> Fitted:
    if fitted.high_s < fitted.low_s:
        raise BadInput("the range ends before it begins", place=value.place, right="low at most high")
    return fitted


_FITTED: Final = table(Fitted).then(_spread)
_TIMES: Final = known("parameter", lambda: {name: _FITTED for name, each in parameters.KNOWN.items() if each.unit == "s"})


def _made(found: dict[str, Any], _: Table) -> Calibration:
    del found["calibration"]
    usual: dict[str, Any] = {"settings": {}, "measured": {}}
    return Calibration(**usual | found | {"parameters": {f"{name}_s": fitted for name, fitted in found["parameters"].items()}})


@Written(
    blank=True,
    make=_made,
    extra=(Field("calibration", "calibration", WHOLE.then(_version), example="nines calibrate RUN... -o calibration.yaml writes one"),),
)
class Calibration(msgspec.Struct, frozen=True):
    """What was measured, where, and what follows from it for the models."""

    target: Annotated[str, WORDS, Key(example="target: replicated_kv")]
    runtime: Annotated[str, WORDS, Key(example="runtime: local")]
    nodes: Annotated[int, WHOLE, Key(example="nodes: 3")]
    settings: Annotated[Mapping[str, str], mapping(ANY_TEXT), Key(missing=True)]
    runs: Annotated[tuple[str, ...], listed(WORDS, distinct=True), Key(example="runs: [RUN]")]
    measured: Annotated[Mapping[str, Measured], mapping(table(Measured)), Key(missing=True)]
    parameters: Annotated[Mapping[str, Fitted], _TIMES, Key(example="parameters: {restart: {...}}")]
    """By their name in code: ``restart_s``."""


def dump(calibration: Calibration) -> str:
    """As YAML, every time with its unit."""
    lines = [
        "# Parameters measured by 'nines calibrate'. Use it in other experiments: predict: {calibration: THIS FILE}",
        f"calibration: {SCHEMA}",
        f"target: {_quoted(calibration.target)}",
        f"runtime: {calibration.runtime}",
        f"nodes: {calibration.nodes}",
        f"settings: {{{', '.join(f'{name}: {_quoted(value)}' for name, value in calibration.settings.items())}}}",
        "runs:",
        *(f"  - {_quoted(run)}" for run in calibration.runs),
        "measured:",
    ]
    for name, seen in calibration.measured.items():
        times = ", ".join(f"{key}: {_time(getattr(seen, f'{key}_s'))}" for key in ("mean", "sd", "low", "high"))
        lines.append(f"  {name}: {{{times}, n: {seen.n}, of: {_quoted(seen.of)}}}")
    lines.append("parameters:")
    for name, fitted in calibration.parameters.items():
        times = ", ".join(f"{key}: {_time(getattr(fitted, f'{key}_s'))}" for key in ("low", "high", "error"))
        lines.append(f"  {name.removesuffix('_s')}: {{{times}, n: {fitted.n}, of: {_quoted(fitted.of)}}}")
    return "\n".join(lines) + "\n"


def _time(value_s: float) -> str:
    return f"{value_s * 1e3:.6g}ms" if value_s < 1 else f"{value_s:.6g}s"


def _quoted(value: str) -> str:
    return msgspec.json.encode(value).decode()


def load(path: Path) -> Calibration:
    """Read one. Raises ``BadInput`` with the place of what is wrong."""
    return table(Calibration).read(parse(read_text(path), str(path)))


def located(written: str, file: str) -> Path:
    """Where a calibration lies that an experiment names: beside the experiment's file, else from the current folder.

    In a run folder its copy stands beside that of the experiment, by its bare name.
    """
    folder = Path(file).parent
    return next((path for path in (folder / written, Path(written), folder / Path(written).name) if path.exists()), Path(written))


def keep(written: str, file: str, folder: Path) -> None:
    """Copy the calibration that an experiment names into a run folder: whoever gets the folder has all that it rests on."""
    if written:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / Path(written).name, located(written, file).read_bytes())


def applied(
    calibration: Calibration, given: tuple[Parameter, ...], *, target: str, runtime: str, settings: Mapping[str, str]
) -> tuple[Parameter, ...]:
    """The parameters with the measured ones in place of the target's; what the experiment itself states stays.

    Raises ``BadInput``, without a place, where it was measured on something else.
    """
    if calibration.target != target:
        raise BadInput(f"it was measured on '{calibration.target}', not on '{target}'", right="a calibration of this target")
    if calibration.runtime != runtime:
        raise BadInput(
            f"it was measured on the runtime '{calibration.runtime}', not on '{runtime}'", right="a calibration from runs of this runtime"
        )
    other = next((name for name, value in settings.items() if calibration.settings.get(name, value) != value), None)
    if other is not None:
        message = f"it was measured with {other} = {calibration.settings[other]}, and this experiment has {settings[other]}"
        raise BadInput(message, right="a calibration with these settings")
    fixed = {each.name for each in given if each.origin == "experiment"}
    measured = {
        name: Parameter(name, each.low_s, "s", ORIGIN, each.high_s if each.high_s > each.low_s else None, error=each.error_s, n=each.n)
        for name, each in calibration.parameters.items()
        if name not in fixed
    }
    replaced = tuple(measured.pop(each.name, each) for each in given)
    return (*replaced, *measured.values())
