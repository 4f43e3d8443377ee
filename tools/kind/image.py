"""kind's node image, made without a registry: Debian, kind's own files from its module, the programs, the images of a cluster.

It is what ``images/base/Dockerfile`` and ``kind build node-image`` of kind make, but for: Debian's containerd, runc and CNI plug-ins; one
image for all programs of Kubernetes; a script in the place of kindnet; no storage provisioner. Kept in ~/.cache/nines/kind by a hash of all
that goes in.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine.images import debian
from chaos.engine.images.base import SUITE, bootstrapped
from chaos.engine.images.build import Note, cache_dir, digest, fingerprint, folder_entries, one_at_a_time
from tools.kind import programs
from tools.kubernetes import programs as kubernetes
from tools.kubernetes.images import archive_of_layer, archive_of_program

FILES: Final = Path(__file__).parent / "files"
PACKAGES: Final = (
    "systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount", "kmod", "libseccomp2", "bash",
    "ca-certificates", "jq", "procps", "containerd", "runc", "containernetworking-plugins",
)  # fmt: skip
"""Of kind's list, what is not for storage in a network or for rootless engines; and what kind builds from its sources."""
KUBERNETES: Final = "nines.test/kubernetes:1"
ETCD: Final = "registry.k8s.io/etcd:3.6.5-0"
COREDNS: Final = "registry.k8s.io/coredns/coredns:v1.12.1"
"""The names by which kubeadm v1.34 asks for them; what is in them is what we built."""
PAUSE: Final = "registry.k8s.io/pause:3.10"
"""By which kind's containerd.toml asks for it."""
IN_IMAGE: Final = ("/bin/sh", "/bin/cat", "/bin/mv", "/bin/sleep", "/usr/sbin/nft", "/usr/sbin/ip")
"""Beside the programs of Kubernetes: what kube-proxy and the network's script call."""
TIMEOUT_S: Final = 900.0
CONTAINERD: Final = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'


def name() -> str:
    """What the image is called on an engine."""
    return f"nines-kind-node:{_hash()}"


def _hash() -> str:
    ours = Path(__file__).read_text(encoding="utf-8")
    return digest(ours, fingerprint(folder_entries(FILES)), programs.KIND.version, programs.CRICTL.version, kubernetes.folder().name)


def _archive() -> Path:
    return cache_dir() / "kind" / f"{_hash()}.tar"


def built() -> bool:
    """Whether its file system is there already, for the sources as they are now, and all programs beside it."""
    return _archive().exists() and programs.built() and kubernetes.built()


def ensure(note: Note) -> Path:
    """The archive of its file system. ``EnvironmentUnusable`` says what is missing, or what failed."""
    found = _archive()
    with one_at_a_time("kind-node"):
        if not found.exists():
            found.parent.mkdir(parents=True, exist_ok=True)
            for old in found.parent.glob("*.tar"):
                old.unlink()
            _make(found, note)
    return found


def _make(out: Path, note: Note) -> None:
    tools, source, built = programs.ensure(note), programs.source(), kubernetes.build(note, (*kubernetes.BUILT, *kubernetes.FOR_KIND))
    if shutil.which("mmdebstrap") is None:
        debian.install(["mmdebstrap"], note)
    note("making kind's node image, once")
    with tempfile.TemporaryDirectory(prefix="nines-kind-", dir=out.parent) as folder:
        draft = Path(folder) / "node.tar"
        hook = f'{sys.executable} -m tools.kind.image {source} {tools} {built} "$1"'
        words = [
            "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
            *(f"--aptopt={line}" for line in debian.apt_options()), "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--customize-hook={hook}", SUITE, str(draft), *debian.mirrors(SUITE),
        ]  # fmt: skip
        try:
            bootstrapped(words, Path(folder) / "said", TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"kind's node image could not be made: {last_words(error)}", how="root, and Debian's mirrors"
            ) from error
        draft.replace(out)


# --- inside, as mmdebstrap's hook --------------------------------------------------------------------------------------


def fill(source: Path, tools: Path, built: Path, root: Path) -> None:
    """Put into Debian's file system what makes it a node of kind."""
    _kind_files(source / "images" / "base" / "files", root)
    for program in ("crictl",):
        shutil.copy2(tools / program, root / "usr/local/bin" / program)
    for program in ("kubeadm", "node"):
        shutil.copy2(built / program, root / "usr/bin" / program)
    for program in ("kubelet", "kubectl"):
        (root / "usr/bin" / program).symlink_to("node")
    for program in ("containerd", "containerd-shim-runc-v2", "ctr"):
        (root / "usr/local/bin" / program).symlink_to(f"/usr/bin/{program}")
    (root / "usr/local/sbin/runc").symlink_to("/usr/sbin/runc")
    (root / "opt/cni").mkdir(parents=True, exist_ok=True)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    (root / "kind/version").write_text(kubernetes.VERSION, encoding="ascii")
    (root / "kind/manifests").mkdir()
    shutil.copy2(FILES / "network.yaml", root / "kind/manifests/default-cni.yaml")
    for script, where in (("network.sh", "kind"), ("not-the-machines.sh", "kind/bin")):
        shutil.copy2(FILES / script, root / where / script)
        (root / where / script).chmod(0o755)
    shutil.copy2(FILES / "12-nines.conf", root / "etc/systemd/system/kubelet.service.d/12-nines.conf")
    config = root / "etc/containerd/config.toml"
    # Not every root may lower the score that the kernel kills by (CAP_SYS_RESOURCE).
    text = config.read_text(encoding="utf-8").replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    config.write_text(text, encoding="utf-8")
    _inside(root, "set -e; " + "; ".join(_STEPS))
    _images(root, built)


def _kind_files(files: Path, root: Path) -> None:
    """As kind's Dockerfile copies them: scripts may be run, the rest may be read."""
    for path in sorted(files.rglob("*")):
        if path.is_file() and "LICENSES" not in path.parts:
            where = root / path.relative_to(files)
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(path.read_bytes())
            where.chmod(0o755 if "bin" in path.parts else 0o644)


_STEPS: Final = (
    # Those of kind's Dockerfile, in its order.
    'find /lib/systemd/system/sysinit.target.wants/ -name "systemd-tmpfiles-setup.service" -delete',
    "rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* /lib/systemd/system/local-fs.target.wants/*",
    "rm -f /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl*",
    "rm -f /lib/systemd/system/basic.target.wants/*",
    'echo "ReadKMsg=no" >> /etc/systemd/journald.conf',
    "ln -sf /lib/systemd/systemd /sbin/init",
    "systemctl enable kubelet.service containerd.service undo-mount-hacks.service",
    "systemctl mask systemd-binfmt.service",
    "mkdir -p /etc/kubernetes/manifests",
    "ctr oci spec | jq '.hooks.createContainer[.hooks.createContainer| length] |= . + "
    '{"path": "/kind/bin/mount-product-files.sh"}\' | jq "del(.process.rlimits)" > /etc/containerd/cri-base.json',
)  # fmt: skip


def _inside(root: Path, script: str) -> str:
    done = subprocess.run(["chroot", str(root), "bash", "-c", script], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{script}\n{done.stdout}{done.stderr}")
    return done.stdout


def _images(root: Path, built: Path) -> None:
    """Into containerd's store, as kind does: not unpacked, and never collected."""
    folder = root / "kind/images"
    folder.mkdir()
    _kubernetes_image(root, built, folder / "kubernetes.tar")
    archive_of_program(COREDNS, built / "coredns", folder / "coredns.tar")
    archive_of_program(PAUSE, built / "pause", folder / "pause.tar")
    (folder / "config.toml").write_text(CONTAINERD, encoding="ascii")
    load = "ctr --namespace=k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests"
    _inside(
        root,
        "containerd --config /kind/images/config.toml > /kind/images/log 2>&1 & "
        "for i in $(seq 100); do [ -S /run/containerd/containerd.sock ] && ctr version > /dev/null && break; sleep 0.1; done; "
        f"for each in /kind/images/*.tar; do {load} $each || {{ cat /kind/images/log; exit 1; }}; done; kill %1; wait",
    )
    shutil.rmtree(folder)


def _kubernetes_image(root: Path, built: Path, out: Path) -> None:
    """One layer with all programs of Kubernetes, etcd, and the few programs of Debian that they call."""
    with tempfile.NamedTemporaryFile(dir=out.parent) as layer:
        with tarfile.open(layer.name, "w") as tar:
            for link in ("bin", "sbin", "lib", "lib64"):
                _link(tar, link, f"usr/{link}")
            for path in _with_libraries(root):
                tar.add((root / path.lstrip("/")).resolve(), path.lstrip("/"), recursive=False)
            tar.add(built / "node", "usr/local/bin/node", recursive=False)
            tar.add(built / "etcd", "usr/local/bin/etcd", recursive=False)
            for program in kubernetes.NAMES:
                _link(tar, f"usr/local/bin/{program}", "node")
        names = [f"registry.k8s.io/{each}:{kubernetes.VERSION}" for each in kubernetes.NAMES if each.startswith("kube-")]
        archive_of_layer([*names, ETCD, KUBERNETES], Path(layer.name), {}, out)


def _with_libraries(root: Path) -> list[str]:
    """Files that a program needs, by the names that they have on a merged /usr."""
    said = _inside(root, f"ldd {' '.join(IN_IMAGE)} | grep -o '/[^ ]*' | sort -u")
    found = {path.rstrip(":") for path in said.split()} | set(IN_IMAGE)
    return sorted(path if path.startswith("/usr/") else f"/usr{path}" for path in found)


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry, io.BytesIO())


if __name__ == "__main__":
    os.umask(0o022)
    fill(*map(Path, sys.argv[1:5]))
