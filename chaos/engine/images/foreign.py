"""Plug-ins of other packages, in the images of the probers and of a harness that travels: the whole harness, with these packages beside.

A package goes along as it is installed here: its own files, those of what it requires, and the entry points by which it is found there.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.plugins import Added, added, failure
from chaos.engine.connection import Engine
from chaos.engine.images.beside import NEEDS as BESIDE_NEEDS
from chaos.engine.images.build import KEEP, Entry, Note, Recipe, build, digest, fingerprint, folder_entries, image_id, prune, want
from chaos.engine.images.harness import NEEDS as HARNESS_NEEDS
from chaos.engine.images.harness import python_of, site_entries
from chaos.plan.plan import Plan

REPOSITORY: Final = "nines-plugins"
OURS: Final = "chaos-nines"
TRAVELLING: Final = ("faults", "probes")
"""What is needed where a run acts. Models, checks, reports and exports stay where it is judged."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_COMPILED: Final = (".so", ".pyd")


def used(plan: Plan, tables: Sequence[str] = TRAVELLING) -> tuple[str, ...]:
    """The packages that bring a fault or a probe of this plan."""
    wanted = {("faults", spec.kind) for spec in plan.experiment.faults}
    kinds = [*plan.operations.values(), *(plan.data.kinds if plan.data is not None else ())]
    wanted |= {("probes", kind.probe) for kind in kinds}
    return tuple(sorted({each.package for each in _bringing() if each.table in tables and (each.table, each.name) in wanted}))


def able() -> tuple[str, ...]:
    """All packages that bring a fault or a probe that loads, and could go along: for a verb that does not say what it will use."""
    found = {each.package for each in _bringing() if not failure(each.table, each.name)}
    return tuple(sorted(name for name in found if not why_not(name)))


def why_not(package: str) -> str:
    """Why this package cannot go along; empty if it can."""
    try:
        for each in closure(package):
            if not _listed(each):
                list(_loose(each))
    except EnvironmentUnusable as error:
        return error.what
    return ""


def ensure_plugins(engine: Engine, beside: str, packages: Sequence[str], note: Note, libraries: Sequence[str] = ()) -> str:
    """The name of the image: that of the whole harness, with these packages and libraries.

    ``EnvironmentUnusable`` names a package that cannot go along, and what to do.
    """
    dockerfile = (files("chaos") / "docker_files" / "clients.Dockerfile").read_text(encoding="utf-8")
    names = list(dict.fromkeys([*(each for package in packages for each in closure(package)), *libraries]))
    loose = tuple(entry for name in names if not _listed(name) for entry in _loose(name))
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    tag = f"{REPOSITORY}:{digest(dockerfile, image_id(engine, beside) or '', fingerprint(loose), *versions)}"
    want(tag)
    if image_id(engine, tag) is None:
        installed = [name for name in names if _listed(name)]
        entries = (*site_entries(python_of(engine, beside), note, installed), *loose)
        build(engine, Recipe(tag=tag, dockerfile=dockerfile, entries=entries, purpose="plugins", args={"HARNESS": beside}), note)
        prune(engine, "plugins", REPOSITORY, KEEP)
    return tag


def closure(package: str) -> list[str]:
    """The package and what it requires, as installed here, without what the image has already."""
    had = {_same(name) for name in (OURS, *HARNESS_NEEDS, *BESIDE_NEEDS)}
    found: list[str] = []
    waiting = [package]
    while waiting:
        name = waiting.pop()
        if _same(name) in had:
            continue
        had.add(_same(name))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise EnvironmentUnusable(
                f"the plug-in {package} requires {name}, which is not installed", how=f"pip install {name}"
            ) from error
        found.append(name)
        waiting += _required(distribution)
    return found


def _required(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        match = _NAME.match(line)
        if match is None or "extra ==" in line.partition(";")[2]:
            continue
        if ";" in line and not _is_installed(match[0]):
            continue  # not for this system
        yield match[0]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _same(name: str) -> str:
    """As indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _bringing() -> list[Added]:
    return [each for each in added() if each.table in TRAVELLING and not each.hidden]


def _modules(name: str) -> set[str]:
    """The top-level modules of a package's entry points."""
    return {point.value.partition(":")[0].partition(".")[0] for point in importlib.metadata.distribution(name).entry_points}


def _listed(name: str) -> bool:
    """Whether its files are where it is installed: not so for ``pip install -e``, nor for a folder on PYTHONPATH."""
    distribution = importlib.metadata.distribution(name)
    tops = {path.parts[0].removesuffix(".py") for path in distribution.files or ()}
    return distribution.read_text("WHEEL") is not None and bool(tops) and _modules(name) <= tops


def _loose(name: str) -> Iterator[Entry]:
    """The modules of a package that lies in a folder of its author's, and what makes its entry points found."""
    distribution = importlib.metadata.distribution(name)
    info = f"{name.replace('-', '_')}-{distribution.version}.dist-info"
    for text in ("METADATA", "entry_points.txt"):
        yield Entry(f"site/{info}/{text}", (distribution.read_text(text) or "").encode())
    modules = _modules(name)
    if not modules:
        raise _cannot(name, "its files are not listed")
    for top in sorted(modules):
        spec = importlib.util.find_spec(top)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None:
            raise _cannot(name, f"its module {top} is not found as a file")
        alone = origin.name != "__init__.py"
        entries = (Entry(f"{top}.py", origin.read_bytes()),) if alone else folder_entries(origin.parent, top)
        compiled = [entry.name for entry in entries if entry.name.endswith(_COMPILED)]
        if compiled or origin.suffix != ".py":
            raise _cannot(name, f"it has compiled parts ({', '.join(compiled) or origin.name})")
        for entry in entries:
            yield Entry(f"site/{entry.name}", entry.data, entry.mode)


def _cannot(name: str, why: str) -> EnvironmentUnusable:
    return EnvironmentUnusable(
        f"the plug-in package {name} cannot be put into containers: {why}, and it is not installed from a wheel",
        how=f"pip wheel its folder, pip install that wheel; or use nothing of {name} in this experiment",
    )
