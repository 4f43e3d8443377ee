"""What a run on the cluster needs on its machines: the base image, Nines, and a target's image, made on a private Docker engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from chaos.engine import private
from chaos.engine.connection import connect
from chaos.engine.images.build import Note
from chaos.engine.images.ensure import ensure_base, ensure_target
from chaos.experiment.target.load import load_target
from tests.support.paths import ROOT
from tools.kubernetes.cluster import Cluster


def supply(cluster: Cluster, tag: str, target: str, environment: Mapping[str, str], note: Note) -> tuple[str, str]:
    """Names of the base image and of the target's; ``tag``: the name that the image of Nines gets. All stand on every machine then."""
    with private.private_engine(private.folder_of(), note) as host, connect(host) as engine:
        base = ensure_base(engine, note)
        words = [sys.executable, "-m", "chaos", "image", "--tag", tag]
        subprocess.run(words, check=True, env={**environment, "DOCKER_HOST": host})
        made = ensure_target(engine, load_target(target, beside=ROOT), "data")
        cluster.load(base, tag, made, engine=host)
    return base, made
