"""What the control plane's host runs: etcd, API server, controller manager, scheduler; with their defaults wherever that will do."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.kubernetes.certificates import Authority
from tools.kubernetes.hosts import Service
from tools.kubernetes.places import INSIDE, Addresses

PORT = 6443


def prepare(host: Path, authority: Authority, addresses: Addresses) -> None:
    """Put the certificates and kubeconfigs of its programs on the host's disk."""
    api = f"https://{addresses.control}:{PORT}"
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    subjects = (f"IP:{addresses.control}", f"IP:{addresses.api_service}", "IP:127.0.0.1", *(f"DNS:{name}" for name in names))
    authority.certificate("apiserver", "kube-apiserver", subjects=subjects)
    authority.certificate("kubelet-client", "kube-apiserver", "system:masters")
    authority.certificate("manager", "system:kube-controller-manager")
    authority.certificate("scheduler", "system:kube-scheduler")
    own = host / "kubernetes"
    own.mkdir(parents=True, exist_ok=True)
    for name in ("ca.crt", "ca.key", "sa.key", "apiserver.crt", "apiserver.key", "kubelet-client.crt", "kubelet-client.key"):
        shutil.copy2(authority.folder / name, own / name)
    for name in ("manager", "scheduler"):
        authority.kubeconfig(name, api, own / f"{name}.conf")


def services(programs: Path, addresses: Addresses) -> list[Service]:
    """All at once: who needs another one ends without it, and is started again."""
    own = INSIDE / "kubernetes"

    def configured(name: str) -> tuple[str, ...]:
        file = str(own / f"{name}.conf")
        return ("--kubeconfig", file, "--authentication-kubeconfig", file, "--authorization-kubeconfig", file, "--leader-elect=false")

    etcd = "http://127.0.0.1:2379"
    return [
        Service(
            "etcd",
            ("etcd", "--name", "etcd", "--data-dir", "/var/lib/etcd", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
             "--unsafe-no-fsync", "--logger", "zap", "--log-level", "warn"),
        ),
        Service(
            "apiserver",
            (str(programs / "kube-apiserver"), "--etcd-servers", etcd, "--advertise-address", str(addresses.control),
             "--secure-port", str(PORT),
             "--tls-cert-file", str(own / "apiserver.crt"), "--tls-private-key-file", str(own / "apiserver.key"),
             "--client-ca-file", str(own / "ca.crt"), "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
             "--service-cluster-ip-range", str(addresses.services), "--service-account-issuer", "https://kubernetes.default.svc",
             "--service-account-key-file", str(own / "sa.key"), "--service-account-signing-key-file", str(own / "sa.key"),
             "--kubelet-client-certificate", str(own / "kubelet-client.crt"), "--kubelet-client-key", str(own / "kubelet-client.key"),
             "--kubelet-preferred-address-types", "InternalIP",
             # etcd 3.4 cannot tell its progress, without which this one only fills the log.
             "--feature-gates", "SizeBasedListCostEstimate=false", "--allow-privileged", "--cert-dir", "/run/apiserver"),
        ),
        Service(
            "controller-manager",
            (str(programs / "kube-controller-manager"), *configured("manager"), "--service-account-private-key-file", str(own / "sa.key"),
             "--root-ca-file", str(own / "ca.crt"), "--cluster-signing-cert-file", str(own / "ca.crt"),
             "--cluster-signing-key-file", str(own / "ca.key"), "--use-service-account-credentials", "--cert-dir", "/run/manager",
             # Volumes are folders of a storage network that all hosts have (machine.py).
             "--enable-hostpath-provisioner"),
        ),
        Service("scheduler", (str(programs / "kube-scheduler"), *configured("scheduler"), "--cert-dir", "/run/scheduler")),
    ]  # fmt: skip
