"""The verbs about this machine: ``doctor``, ``leftovers``, ``heal``, ``targets``, ``version``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.cli import there, tries
from chaos.cli.output import note, show, show_json, show_table
from chaos.core.errors import BadInput, EnvironmentUnusable, NotHealed
from chaos.core.escaping import terminal

if TYPE_CHECKING:
    from chaos.registry.runs import RunRecord


def doctor(arguments: argparse.Namespace) -> int:
    """What works here, what is missing, and how to get it; 5 if a run would not start. ``--faults``: the faults by runtime."""
    if arguments.faults:
        return _faults(arguments)
    from chaos.cli.doctor import examine, usable

    lodged, claims = arguments.guests == "ephemeral", arguments.volumes == "claims"
    if arguments.kubernetes is None and any(
        (arguments.rbac, arguments.context, arguments.user, arguments.hosts, arguments.own, lodged, claims)
    ):  # fmt: skip
        raise BadInput(
            "--rbac, --context, --user, --hosts, --own, --volumes and --guests go with --kubernetes",
            right="nines doctor --kubernetes shop --rbac",
        )
    if lodged and arguments.own:
        raise BadInput("--own has no guests: agents stand beside the nodes", right="nines doctor --kubernetes trials --own")
    if claims and not arguments.own:
        raise BadInput("--volumes is of pods of ours", right="nines doctor --kubernetes trials --own --volumes claims")
    if arguments.kubernetes is not None:
        from chaos.cli import doctor_kubernetes

        given = {"hosts": arguments.hosts, "own": arguments.own, "lodged": lodged, "claims": claims}
        if arguments.rbac:
            show(doctor_kubernetes.rbac(arguments.kubernetes, arguments.user, **given), whole=True)
            return 0
        findings = doctor_kubernetes.examine(arguments.kubernetes, arguments.context, **given)
    else:
        findings = examine()
    if arguments.json:
        show_json(findings)
    else:
        rows = [[finding.name, finding.state, finding.detail, finding.how] for finding in findings]
        show_table(["part", "state", "found", "how to get it"], rows, [None, None, 60, 60])
    return 0 if usable(findings) else 5


def _faults(arguments: argparse.Namespace) -> int:
    from chaos.cli.fault_support import abilities, runtimes

    found = abilities()
    if arguments.json:
        show_json([{"fault": each.kind, "runtime": each.runtime, "possible": each.possible,
                       "missing": [{"only": form.only, "why": form.why} for form in each.missing]} for each in found])  # fmt: skip
        return 0
    titles = runtimes()
    said = {(each.kind, each.runtime): str(each) for each in found}
    rows = [[kind, *(said[kind, runtime] for runtime in titles)] for kind in dict.fromkeys(each.kind for each in found)]
    show_table(["fault", *titles], rows, [None, *[50] * len(titles)])
    return 0


def stop(arguments: argparse.Namespace) -> int:
    """End a run that goes on, and wait until it has removed all that it had started."""
    done = ended(arguments)
    if isinstance(done, int):
        return done
    note(f"{done.run} has ended; {kept(done, 'report')}")
    return 0


def kept(record: RunRecord, what: str) -> str:
    """Where to find what it gave: beside an engine, folders have names that mean nothing where people are."""
    from chaos.engine.connection import BESIDE

    if os.environ.get(BESIDE):
        return f"its folder goes to the command that had started it, or else: nines fetch {record.run}"
    return f"its {what} is in {record.folder}"


def ended(arguments: argparse.Namespace) -> RunRecord | int:
    """The run that was ended here; the exit status if that was done, or refused, beside an engine that is elsewhere."""
    from chaos.run.stop import active, stop_run

    word, going = arguments.run, active()
    if not any(word == record.run or Path(word).absolute() == Path(record.folder) for record in going):
        status = there.relay(arguments.argv)
        if status is not None and (status == 0 or not going):
            return status
    return stop_run(word, arguments.within)


def leftovers(arguments: argparse.Namespace) -> int:
    """List what crashed runs left; 0 if nothing, 5 if anything, or if the engine that is named does not tell."""
    from chaos.run.leftovers import leftovers as find
    from chaos.run.leftovers import unrecorded

    found, others = find(), unrecorded()
    dead = [run for run in others if not run.alive]
    rows = [{"run": item.run, "kind": item.kind, "subject": item.subject, "detail": item.detail} for item in found]
    rows += [
        {"run": run.run, "kind": thing.kind, "subject": thing.name, "detail": f"on {run.host}, no record; {run}"}
        for run in others
        for thing in run.things
    ]
    projects = tries.left()
    rows += [{"run": each.project, "kind": "compose project", "subject": each.project, "detail": tries.told(each)} for each in projects]
    far = there.answer(["leftovers"]) or []
    rows += far
    if arguments.json:
        show_json(rows)
        there.require_named()
        return 5 if found or dead or far or projects else 0
    if projects:
        show("\n".join(terminal(tries.told(each)) for each in projects))
    if far:
        show("\n".join(terminal(f"{row['run']}: {row['kind']} {row['subject']} ({row['detail']}), beside the engine") for row in far))
    if found:
        show("\n".join(terminal(str(item)) for item in found))
    if found or far or projects:
        note("Remove them with: nines heal")
    for run in others:
        show(terminal(f"{run.run}: this run has no record ({run}), on {run.host}:"))
        show("\n".join(terminal(f"  {thing.kind} {thing.name}") for thing in run.things))
    if dead:
        note("Remove those of dead runs with: nines heal --orphans")
    there.require_named()
    if not found and not others and not far and not projects:
        note("No leftovers of earlier runs.")
    return 5 if found or dead or far or projects else 0


def heal(arguments: argparse.Namespace) -> int:
    """Remove what crashed runs left; 6 if something could not be proven gone. ``--orphans``: also of runs without a record.
    ``--images``: also images of other versions."""
    from chaos.run.leftovers import HealResult, heal_unrecorded, unrecorded
    from chaos.run.leftovers import heal as remove

    if arguments.forget is not None:
        return _forget(arguments)
    crashed = there.Crashed()
    crashed.await_ended()
    result = remove()
    if arguments.orphans:
        others = heal_unrecorded()
        result = HealResult(result.removed + others.removed, result.could_not + others.could_not)
    far = there.answer(["heal", *(["--orphans"] if arguments.orphans else [])]) or {}
    taken, stood = tries.take_down()
    unasked: EnvironmentUnusable | None = None
    try:
        taken += _old_images() if arguments.images else []
    except EnvironmentUnusable as error:
        unasked = error  # where no engine is, all else is removed and told all the same
    removed = [str(item) for item in result.removed] + far.get("removed", []) + taken
    could_not = [str(item) for item in result.could_not] + far.get("could_not", []) + crashed.settle() + stood
    if arguments.json:
        show_json({"removed": removed, "could_not": could_not})
    else:
        for item in removed:
            show(terminal(f"removed  {item}"))
    dead = [] if arguments.json or arguments.orphans else [run for run in unrecorded() if not run.alive]
    if dead:
        note(f"Left alone, since they have no record: {', '.join(run.run for run in dead)}. Remove them with: nines heal --orphans")
    if could_not:
        raise NotHealed("could not remove:\n  " + "\n  ".join(could_not))
    there.require_named()
    if unasked is not None:
        raise unasked
    if not removed and not dead and not arguments.json:
        note("No leftovers of earlier runs.")
    return 0


def _old_images() -> list[str]:
    """On the engine that the docker command uses."""
    from chaos.engine.connection import connect
    from chaos.engine.images.build import prune_all

    with connect(checked=False) as engine:
        return [f"image {tag}" for tag in prune_all(engine)]


def _forget(arguments: argparse.Namespace) -> int:
    """A run that this version cannot heal is no longer known; whoever says so is told what may be left of it."""
    from chaos.run.leftovers import forget

    found = forget(arguments.forget)
    if arguments.json:
        show_json({"forgotten": arguments.forget, "may_be_left": [str(item) for item in found]})
        return 0
    show("\n".join(f"may be left  {item}" for item in found))
    note(f"The record of {arguments.forget} is dropped. Nothing was removed: check what is listed above by hand.")
    return 0


def targets(arguments: argparse.Namespace) -> int:
    """The systems that can be named in ``cluster.target``."""
    from chaos.experiment.target.load import known_targets

    found = known_targets()
    if arguments.json:
        show_json([{"name": each.name, "about": each.about, "folder": each.folder, "parts": list(each.parts),
                       "operations": list(each.operations), "settings": each.settings} for each in found])  # fmt: skip
        return 0
    rows = [[each.name, ", ".join(each.operations), ", ".join(each.settings), each.about] for each in found]
    show_table(["target", "operations", "settings", "about"], rows, [None, None, 40, 60])
    return 0


def version(arguments: argparse.Namespace) -> int:
    """Ours, Python's, and of the packages that measure and judge."""
    from chaos.core.version import versions

    found = versions()
    if arguments.json:
        show_json(found)
    else:
        show("\n".join(f"{name} {value}" for name, value in found.items()))
    return 0
