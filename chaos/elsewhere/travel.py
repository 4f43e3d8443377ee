"""A run on an engine that is elsewhere, from here: what it needs goes there, its rows come as they happen, its folder comes back.

    images made through the engine's API -> harness started beside the engine -> ticket, target -> rows ... -> run folder

What is decided about the run (its plan) and what is thought about it (its judgement) stays here. The run itself, and every instant that
is measured, are on the engine's machine and its one clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from chaos.core.errors import EnvironmentUnusable
from chaos.elsewhere import in_cluster, own_in_cluster
from chaos.elsewhere.beside import Beside
from chaos.elsewhere.frames import Ticket
from chaos.elsewhere.hosts import Hosts
from chaos.elsewhere.reader import Decide, Reader, raise_of
from chaos.elsewhere.signals import obeyed_at_once
from chaos.elsewhere.stand import Destination, Stand, settings, standing, with_folder
from chaos.engine.connection import Engine
from chaos.engine.images import foreign
from chaos.engine.images.build import Note, quiet
from chaos.engine.images.ensure import ensure_base, ensure_clients, ensure_harness, ensure_target
from chaos.engine.limits import require_limits
from chaos.experiment import probe_options
from chaos.experiment.target.spec import Target
from chaos.history.events import Row, RunEnded
from chaos.history.folder import RunFolder
from chaos.kube.api import Api
from chaos.plan.plan import Plan
from chaos.plugin import Deployment
from chaos.registry import runs as registry
from chaos.runtimes.base.libraries import libraries
from chaos.runtimes.base.machines.errands import paid
from chaos.runtimes.docker.supplies import supplies, tools_image


def carry_out(
    far: object,
    plan: Plan,
    target: Target,
    ordered: bytes,
    folder: RunFolder,
    live: Callable[[Row], None] | None,
    decide: Decide | None,
    note: Note = quiet,
) -> list[Row]:
    """Run it there; ``ordered`` is the JSON of all three. Returns the rows that are not in the history, as ``run_plan`` does.

    Raises what the run raised there. ``EnvironmentUnusable`` if the harness or the way to it is lost: what was measured is fetched later.
    """
    refuse_what_stays(plan)
    with _stand(far, plan, target, folder, note) as stand:
        ticket = _ticket(stand, "run", plan, target, ordered, folder, note)
        ticket = msgspec.structs.replace(ticket, decides=decide is not None)
        with _on_hosts(stand, ticket, plan, folder, note) as ticket:
            end = with_folder(stand, ticket, target, folder, lambda channel: Reader(channel, folder.path, live, decide))
    raise_of(end)
    return [msgspec.json.decode(row, type=Row) for row in end.unwritten]


def hold(far: object, plan: Plan, target: Target, ordered: bytes, folder: RunFolder, show: Callable[[str], None], note: Note) -> int:
    """A cluster that is up there until this command ends; the exit status. Its folder comes back, as that of a run."""
    if plan.experiment.cluster.hosts:
        raise EnvironmentUnusable("a cluster on several hosts is held on its first host only", how="run 'nines up' on that host")
    with _stand(far, plan, target, folder, note, held=True) as stand:
        ticket = _ticket(stand, "up", plan, target, ordered, folder, note)
        end = with_folder(stand, ticket, target, folder, lambda channel: Reader(channel, folder.path, show=show, note=note))
    raise_of(end)
    return end.status


def tests(far: object, deployment: Deployment, ordered: bytes, words: Sequence[str], show: Callable[[str], None]) -> int:
    """pytest with these words where the harness of a run would stand; its exit status. The folder that it fills comes here."""
    plan, target, folder = deployment.plan, deployment.target, RunFolder(deployment.folder)
    with _stand(far, plan, target, folder, show) as stand:
        ticket = msgspec.structs.replace(_ticket(stand, "tests", plan, target, ordered, folder, show), argv=tuple(words))
        end = with_folder(stand, ticket, target, folder, lambda channel: Reader(channel, folder.path, show=show, note=show))
    raise_of(end)
    return end.status


@contextmanager
def _on_hosts(stand: Stand, ticket: Ticket, plan: Plan, folder: RunFolder, note: Note) -> Iterator[Ticket]:
    """Of a run on several hosts: with its doors in the ticket, and somebody who runs its errands. It is registered here, with all engines,
    so that it is found from here whatever becomes of this command and of the harness."""
    specs = plan.experiment.cluster.hosts
    if not specs:
        yield ticket
        return
    assert isinstance(stand, Beside), "hosts have engines"
    hosts = Hosts(specs, folder)
    with hosts.open(stand.engine, ticket.images["harness"], note) as doors:
        first, *further = (spec.engine for spec in specs.values())
        with registry.claim(folder.run, folder.path, plan.runtime, engine=first, further=tuple(further)) as claim:
            claim.begins()
            stand.errands = hosts
            with paid(hosts.errands, claim):
                yield msgspec.structs.replace(ticket, doors=doors)
            left = _left(folder)
            if left:
                claim.abandon("; ".join(left))
            else:
                claim.proven_gone()


def _left(folder: RunFolder) -> list[str]:
    """What the run could not remove, by its own last word; what it was refused for was found before there was anything."""
    ended = next((row for row in reversed(folder.rows()) if isinstance(row, RunEnded)), None) if folder.history.exists() else None
    return [] if ended is None else ended.left


@contextmanager
def _stand(far: object, plan: Plan, target: Target, folder: RunFolder, note: Note, *, held: bool = False) -> Iterator[Stand]:
    """By what is far: a cluster's API server, a Docker engine, or what a foreign runtime travels to. ``held``: for faults by hand, until
    somebody ends it."""
    if isinstance(far, Destination):
        with obeyed_at_once(), far.standing(plan, target, folder, note, held=held) as there:
            yield there
        return
    if isinstance(far, Api):
        made = (
            own_in_cluster.standing(far, plan, target, folder, note, held=held)
            if plan.experiment.cluster.attach is None
            else in_cluster.standing(far, plan, folder, note, held=held)
        )
        with obeyed_at_once(), made as there:
            yield there
        return
    assert isinstance(far, Engine)
    with standing(far, note, foreign.used(plan)) as beside:
        yield beside


def refuse_what_stays(plan: Plan) -> None:
    """``EnvironmentUnusable`` for what an experiment asks of the machine where the command is, while the run is elsewhere."""
    if plan.experiment.abort_if.command is not None:
        raise EnvironmentUnusable(
            "abort_if: {command: ...} is a program of this machine, and the run goes on beside an engine that is elsewhere",
            how="use another abort_if condition, or run Nines on the engine's own machine",
        )
    until = plan.experiment.settle_until
    if until is not None and until.command is not None:
        raise EnvironmentUnusable(
            "settle: {until: {command: ...}} is a program of this machine, and the run goes on beside an engine that is elsewhere",
            how="use 'http' or 'service', or run Nines on the engine's own machine",
        )


def _ticket(stand: Stand, do: str, plan: Plan, target: Target, ordered: bytes, folder: RunFolder, note: Note) -> Ticket:
    environment = probe_options.secrets((kind.options for kind in plan.operations.values()), target.folder)
    images: dict[str, str] = {}
    if isinstance(stand, Beside):
        images, environment = _images(stand.engine, plan, target, note), environment | settings()
    return Ticket(
        do=do, run=folder.run, folder=stand.where.run(folder.run), inputs=stand.where.inputs(folder.run),
        ordered=msgspec.Raw(ordered), images=images, environment=environment,
    )  # fmt: skip


def _images(engine: Engine, plan: Plan, target: Target, note: Note) -> dict[str, str]:
    require_limits(engine.facts, plan.experiment.cluster.resources)
    images = {"base": ensure_base(engine, note), "harness": ensure_harness(engine, note)}
    images["clients"] = ensure_clients(engine, images["harness"], libraries(target, plan), note, foreign.used(plan, ("probes",)))
    if plan.experiment.cluster.attach is None:
        images |= {f"target {part}": ensure_target(engine, target, part, note) for part in {node.part for node in plan.nodes}}
    if supplies(plan).tools:
        images["tools"] = tools_image(engine, note)
    return images
