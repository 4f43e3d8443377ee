"""``nines image``: Nines as a container image, built from the package that is installed here; or a target's, to be loaded or pushed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from chaos.cli.output import note, show
from chaos.core.errors import BadInput

NINES = "chaos-nines"


def image(arguments: argparse.Namespace) -> int:
    """Build it on the engine that the docker command uses."""
    from chaos.engine.connection import connect
    from chaos.engine.images.whole import build_whole

    if arguments.target is not None:
        if arguments.of:
            raise BadInput("--for goes with Nines' own image", right=f"nines image --for {arguments.of[0]}, without --target")
        return _target(arguments)
    if arguments.part is not None:
        raise BadInput("--part goes with --target", right="nines image --target patroni --part etcd")
    tag = arguments.tag or NINES
    libraries = _libraries(arguments.of)
    with connect(checked=False) as engine:
        show(build_whole(engine, tag, note, libraries))
    note(f"docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v $PWD:/work {tag} try compose.yaml --probe http://web:8080/")
    return 0


def _libraries(targets: Sequence[str]) -> tuple[str, ...]:
    """What their drivers import, each once. ``EnvironmentUnusable`` for one that is not installed here."""
    from chaos.core.packages import versions_of
    from chaos.experiment.target.load import load_target

    found = dict.fromkeys(library for target in targets for library in load_target(target).libraries)
    versions_of(tuple(found))
    return tuple(found)


def _target(arguments: argparse.Namespace) -> int:
    """The image that its nodes run in, under a name that another engine or a cluster can be given it by."""
    from chaos.elsewhere.own_in_cluster import built_name
    from chaos.engine.connection import connect
    from chaos.engine.images.build import named
    from chaos.engine.images.ensure import ensure_target
    from chaos.experiment.target.load import load_target

    target = load_target(arguments.target)
    if arguments.part is not None and arguments.part not in target.parts:
        raise BadInput(f"'{target.name}' has no part '{arguments.part}'", right=", ".join(target.parts))
    parts = [arguments.part] if arguments.part is not None else list(target.parts)
    tag = arguments.tag or built_name(target.name)
    with connect(checked=False) as engine:
        made = {ensure_target(engine, target, part, note) for part in parts}
        if len(made) > 1:
            raise BadInput(f"the parts of '{target.name}' run in {len(made)} images", right=f"--part, one of: {', '.join(parts)}")
        show(named(engine, made.pop(), tag))
    return 0
