"""What a node's host runs: containerd, kubelet, kube-proxy; each with its defaults where a namespace as a machine needs no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from tools.kubernetes.certificates import Authority
from tools.kubernetes.hosts import Service, Wire
from tools.kubernetes.places import INSIDE, Addresses
from tools.kubernetes.programs import PLUGINS

DOMAIN: Final = "cluster.local"
PAUSE: Final = "nines.test/pause:1"
_OWN: Final = INSIDE / "kubernetes"
_SOCKET: Final = "unix:///run/containerd/containerd.sock"
_CONTAINERD: Final = """\
version = 2
disabled_plugins = [{off}]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_tcp_service = true
  # Not every root may lower the score that the kernel kills by (CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "/etc/cni/net.d"
"""
_UNUSED: Final = ("btrfs", "zfs", "aufs", "devmapper")


def wire(addresses: Addresses, number: int, nodes: int) -> Wire:
    """Pods of other nodes are reached over their hosts."""
    others = {str(addresses.pods(other)): addresses.node(other) for other in range(1, nodes + 1) if other != number}
    return Wire(addresses.node(number), addresses.hosts.prefixlen, addresses.gateway, others)


def prepare(host: Path, authority: Authority, addresses: Addresses, name: str, number: int, cgroup: str) -> None:
    """Put the configuration of a node's programs on its disk."""
    own = host / "kubernetes"
    own.mkdir(parents=True, exist_ok=True)
    api = f"https://{addresses.control}:6443"
    authority.certificate(name, f"system:node:{name}", "system:nodes")
    authority.kubeconfig(name, api, own / "kubelet.conf")
    authority.kubeconfig("proxy", api, own / "proxy.conf")
    shutil.copy2(authority.ca, own / "ca.crt")
    off = ", ".join(f'"io.containerd.snapshotter.v1.{each}"' for each in _UNUSED)
    (own / "containerd.toml").write_text(_CONTAINERD.format(off=off, pause=PAUSE, plugins=PLUGINS), encoding="ascii")
    (own / "resolv.conf").write_text("", encoding="ascii")
    _write(own / "kubelet.yaml", kubelet(addresses, cgroup))
    _write(own / "proxy.yaml", proxy(addresses, name))
    _write(host / "disk" / "etc" / "cni" / "net.d" / "10-pods.conflist", network(addresses, number))


def _write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="ascii")  # JSON is YAML


def kubelet(addresses: Addresses, cgroup: str) -> dict[str, object]:
    """The configuration of kubelet; all that is about time has its default."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(_OWN / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "containerRuntimeEndpoint": _SOCKET,
        "clusterDomain": DOMAIN,
        "clusterDNS": [str(addresses.dns_service)],
        "failSwapOn": False,
        # This machine's disk and memory belong to others as well.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "resolvConf": str(_OWN / "resolv.conf"),
    }  # fmt: skip


def proxy(addresses: Addresses, name: str) -> dict[str, object]:
    """The configuration of kube-proxy; settings of connection tracking are this machine's own affair."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(_OWN / "proxy.conf")},
        "clusterCIDR": str(addresses.all_pods),
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "hostnameOverride": name,
    }


def network(addresses: Addresses, number: int) -> dict[str, object]:
    """A bridge for the pods of a node, without any translation of addresses: pods see each other's own."""
    ranges = [[{"subnet": str(addresses.pods(number))}]]
    bridge = {
        "type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }  # fmt: skip
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def services(programs: Path, addresses: Addresses, name: str, number: int) -> list[Service]:
    """Each node is a zone of its own. kubelet ends while containerd is not there, and is started again."""
    labels = f"topology.kubernetes.io/zone=zone-{number},topology.kubernetes.io/region=here"
    return [
        Service("containerd", ("containerd", "--config", str(_OWN / "containerd.toml"))),
        Service(
            "kubelet",
            (str(programs / "kubelet"), "--config", str(_OWN / "kubelet.yaml"), "--kubeconfig", str(_OWN / "kubelet.conf"),
             "--hostname-override", name, "--node-ip", str(addresses.node(number)), "--node-labels", labels,
             "--cert-dir", "/run/kubelet-certificates"),
        ),
        Service("kube-proxy", (str(programs / "kube-proxy"), "--config", str(_OWN / "proxy.yaml"))),
    ]  # fmt: skip
