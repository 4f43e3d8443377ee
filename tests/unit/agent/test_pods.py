"""A guest of a pod: which processes are the container's, by the paths of control groups as kubelet makes them."""

from __future__ import annotations

import pytest

from chaos.agent.agent_guest import container_of, pod_words

UID = "7c9b1f2e-0d3a-4a7e-9b7a-2f1d0c5e8a11"
OWN, OTHER = "a1" * 32, "b2" * 32
GROUPS = {
    "cgroupfs, version 1": f"12:memory:/kubepods/burstable/pod{UID}/{OWN}\n1:name=systemd:/kubepods/burstable/pod{UID}/{OWN}\n",
    "cgroupfs, version 2": f"0::/kubepods/besteffort/pod{UID}/{OWN}\n",
    "systemd": f"0::/kubepods.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{OWN}.scope\n",
    "from another namespace of groups": f"0::/../../kubepods/pod{UID}/{OWN}/nested/{OTHER}\n",
}


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_the_container_follows_its_pod(group: str) -> None:
    assert container_of(group, pod_words(UID)) == OWN


def test_what_is_of_another_pod_is_of_none() -> None:
    elsewhere = GROUPS["systemd"].replace("7c9b", "0000")
    assert container_of(elsewhere, pod_words(UID)) == ""
    assert container_of("0::/system.slice/kubelet.service\n", pod_words(UID)) == ""
    assert container_of(f"0::/kubepods/pod{UID}\n", pod_words(UID)) == ""
