"""What pods said is kept life by life, in order, and each life once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chaos.kube.api import Refused
from chaos.kube.find import Pod
from chaos.runtimes.kubernetes.logs import PodLogs

POD = Pod("store-0", "u1", "w1", "10.1.0.9", "app", "c" * 64, "", True, False, 3)


class Kubelet:
    """The log of the present life, and of the one before."""

    def __init__(self) -> None:
        self.lives: dict[str, list[bytes]] = {}

    def log(self, _namespace: str, pod: str, _container: str, _last_s: int, _lines: int, *, previous: bool) -> bytes:
        if pod not in self.lives:
            raise Refused(404, f"no pod {pod}", "")
        return self.lives[pod][-2 if previous else -1]


def kept(tmp_path: Path, kubelet: Any) -> PodLogs:
    return PodLogs(kubelet, "shop", lambda node: tmp_path / f"{node}.log")


def test_each_life_of_a_container_once(tmp_path: Path) -> None:
    kubelet = Kubelet()
    kubelet.lives["store-0"] = [b"one\n"]
    logs = kept(tmp_path, kubelet)
    logs.seen("n1", POD)
    logs.seen("n1", POD)
    kubelet.lives["store-0"].append(b"two\n")
    again = msgspec.structs.replace(POD, restarts=4)
    logs.seen("n1", again)
    logs.seen("n1", again)
    logs.close({"n1": again})
    said = (tmp_path / "n1.log").read_text(encoding="utf-8")
    assert said == (
        "--- store-0, container app, after 3 restarts ---\none\n--- store-0, container app, after 4 restarts ---\ntwo\n"
    )  # fmt: skip


def test_a_pod_that_is_deleted_is_asked_while_it_is_there(tmp_path: Path) -> None:
    kubelet = Kubelet()
    kubelet.lives["store-a"] = [b"first\n"]
    logs = kept(tmp_path, kubelet)
    first = msgspec.structs.replace(POD, name="store-a", uid="a", restarts=0)
    logs.seen("n1", first)
    logs.seen("n1", msgspec.structs.replace(first, ending=True))
    logs._worker.submit(lambda: None).result()
    del kubelet.lives["store-a"]
    kubelet.lives["store-b"] = [b"second\n"]
    logs.close({"n1": msgspec.structs.replace(POD, name="store-b", uid="b", restarts=0)})
    assert (tmp_path / "n1.log").read_text(encoding="utf-8") == "first\n--- store-b, container app, after 0 restarts ---\nsecond\n"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    class Forbids:
        def log(self, *_words: object, previous: bool) -> bytes:
            raise Refused(403, f"pods/log is forbidden ({previous})", "")

    logs = kept(tmp_path, Forbids())
    logs.close({"n1": msgspec.structs.replace(POD, restarts=0)})
    assert (tmp_path / "n1.log").read_text(encoding="utf-8") == "not kept: pods/log is forbidden (False)\n"
