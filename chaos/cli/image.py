"""``nines image``: Nines as a container image, built from the package that is installed here."""

from __future__ import annotations

import argparse

from chaos.cli.output import note, show


def image(arguments: argparse.Namespace) -> int:
    """Build it on the engine that the docker command uses."""
    from chaos.engine.connection import connect
    from chaos.engine.images.whole import build_whole

    with connect(checked=False) as engine:
        show(build_whole(engine, arguments.tag, note))
    note(
        f"docker run --rm -v /var/run/docker.sock:/var/run/docker.sock -v $PWD:/work {arguments.tag} try compose.yaml --probe http://web:8080/"
    )
    return 0
