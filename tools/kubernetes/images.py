"""Images for the nodes: those of a cluster itself, made of one program each; and any other one, from an archive or a Docker engine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from chaos.core.errors import BadInput, EnvironmentUnusable
from chaos.core.programs import last_words
from tools.kubernetes import hosts
from tools.kubernetes.node import PAUSE
from tools.kubernetes.places import Layout

COREDNS: Final = "nines.test/coredns:1"
IMPORT_TIMEOUT_S: Final = 300.0


def archive_of_program(name: str, program: Path, out: Path) -> None:
    """A Docker archive of an image that is one static program, its entry point; equal byte by byte for an equal program."""
    with tempfile.NamedTemporaryFile(dir=out.parent) as layer:
        with tarfile.open(layer.name, mode="w") as tar:
            _add(tar, program.name, program.read_bytes(), 0o755)
        archive_of_layer([name], Path(layer.name), {"Entrypoint": [f"/{program.name}"]}, out)


def archive_of_layer(names: Sequence[str], layer: Path, settings: Mapping[str, object], out: Path) -> None:
    """A Docker archive of an image of one layer, under all of these names."""
    with layer.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    config = {
        "architecture": "amd64", "os": "linux", "config": {**settings, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{found}"]}, "history": [{"created_by": "nines"}],
    }  # fmt: skip
    described = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": list(names), "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(out, "w") as tar, layer.open("rb") as data:
        entry = tarfile.TarInfo("layer.tar")
        entry.size, entry.mode = layer.stat().st_size, 0o644
        tar.addfile(entry, data)
        for each, content in ((config_name, described), ("manifest.json", manifest)):
            _add(tar, each, content, 0o644)


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


@contextlib.contextmanager
def own(programs: Path) -> Iterator[list[Path]]:
    """Archives of the images that every cluster needs."""
    with tempfile.TemporaryDirectory(prefix="nines-images-") as folder:
        made = []
        for name, program in ((PAUSE, "pause"), (COREDNS, "coredns")):
            made.append(Path(folder) / f"{program}.tar")
            archive_of_program(name, programs / program, made[-1])
        yield made


@contextlib.contextmanager
def archive(named: str, engine: str | None = None) -> Iterator[Path]:
    """The archive of an image: that file, or what the Docker engine at that address (else DOCKER_HOST's) has under that name."""
    path = Path(named)
    if path.is_file():
        yield path
        return
    if path.suffix == ".tar":
        raise BadInput(f"{named}: no such file")
    from chaos.engine.connection import connect
    from chaos.engine.errors import translated

    with tempfile.TemporaryDirectory(prefix="nines-images-") as folder:
        saved = Path(folder) / "image.tar"
        with connect(engine) as asked, translated(f"saving the image {named}"), saved.open("wb") as out:
            patient = asked.patient(IMPORT_TIMEOUT_S)  # a busy engine collects all layers before it says its first word
            for piece in patient.images.get(named).save(named=named):
                out.write(piece)
        yield saved


def load(layout: Layout, nodes: Sequence[str], archives: Sequence[Path]) -> None:
    """Put images onto nodes, on all at once. ``EnvironmentUnusable`` with what containerd said."""

    def one(node: str) -> None:
        for path in archives:
            command = hosts.inside(layout, node, ["ctr", "-n", "k8s.io", "images", "import", "--snapshotter", "overlayfs", "-"])
            try:
                with path.open("rb") as data:
                    subprocess.run(command, stdin=data, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=True)
            except (OSError, subprocess.SubprocessError) as error:
                raise EnvironmentUnusable(
                    f"{path.name} could not be loaded on {node}: {last_words(error)}", how=f"see {layout.host(node)}/log/containerd.log"
                ) from error

    with ThreadPoolExecutor(max_workers=max(1, len(nodes))) as pool:
        list(pool.map(one, nodes))
