"""The programs of a Kubernetes cluster: built once from Go modules, or packages of Debian.

The Go programs are kept in ``~/.cache/nines/kubernetes/<hash of their sources and go.sum>``. A first build takes 12 minutes on two idle
cores and needs Go 1.24 or newer; 3 GB go into Go's own caches, which are needed no more afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine.images import debian
from chaos.engine.images.build import Note, cache_dir, fingerprint, folder_entries, one_at_a_time

VERSION: Final = "v1.34.4"
SOURCES: Final = Path(__file__).parent / "programs"
BUILT: Final = ("node", "coredns", "pause")
"""Each is the folder of a ``main``."""
FOR_KIND: Final = ("kubeadm", "etcd")
"""The same; only clusters of kind need them."""
NAMES: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
"""What ``node`` is, by the name that it is called by."""
PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "etcd": "etcd-server",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
PLUGINS: Final = Path("/usr/lib/cni")
BUILD_TIMEOUT_S: Final = 5400.0


def folder() -> Path:
    """Where the Go programs are, for the sources as they are now."""
    return cache_dir() / "kubernetes" / fingerprint(folder_entries(SOURCES))


def built() -> bool:
    """Whether all Go programs are there already."""
    return all((folder() / name).exists() for name in (*BUILT, *NAMES))


def may() -> bool:
    """Whether this machine can have a cluster: root, programs that are there or can be built, packages likewise."""
    return os.geteuid() == 0 and (built() or shutil.which("go") is not None) and (not missing() or debian.may_install())


def missing() -> list[str]:
    """The Debian packages that this machine lacks."""
    names = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not (PLUGINS / "bridge").exists():
        names.add("containernetworking-plugins")
    return sorted(names)


def ensure(note: Note) -> Path:
    """The folder of the Go programs, all packages installed. ``EnvironmentUnusable`` says what is missing, or what the compiler said."""
    lacking = missing()
    if lacking:
        debian.install(lacking, note)
    return build(note)


def build(note: Note, names: Sequence[str] = BUILT) -> Path:
    """The folder of the Go programs, built if they are not there."""
    where = folder()
    with one_at_a_time("kubernetes-build"):
        for name in names:
            if not (where / name).exists():
                _build(name, where, note)
        for name in NAMES:
            link = where / name
            if not link.exists():
                link.symlink_to("node")
    return where


def _build(name: str, where: Path, note: Note) -> None:
    if shutil.which("go") is None:
        raise EnvironmentUnusable(f"Kubernetes {VERSION} must be built, and Go is not installed", how="https://go.dev/dl, 1.24 or newer")
    note(f"building {name} of Kubernetes {VERSION}, once; all together takes 12 minutes on two cores")
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".go-", dir=where) as draft:
        made = Path(draft) / name
        command = ["nice", "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", _linker_flags(), "-o", str(made), f"./{name}"]
        environment = os.environ | {"CGO_ENABLED": "0"}
        try:
            subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"{name} of Kubernetes could not be built: {last_words(error)}", how="Go 1.24 or newer, and a way to a Go module proxy"
            ) from error
        made.replace(where / name)


def _linker_flags() -> str:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    said = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in said.items())])
