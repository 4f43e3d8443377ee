"""What an agent that begins in a pod of ours does to the data that it finds: nothing where the pod has taken another one's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.core.clock import MonotonicClock
from chaos.kube.find import Pod
from chaos.runtimes.base.agents.link import Answer
from chaos.runtimes.kubernetes.own import pods as module
from chaos.runtimes.kubernetes.own.layout import OwnLayout
from chaos.runtimes.kubernetes.own.pods import OwnPods
from tests.unit.runtimes.test_pods_of_ours import ADDRESSES, NAMES, deployed

POD = Pod("x-0", "u0", "m1", "10.1.0.1", "system", "c", "i", True, False, 0)


class Anything:
    """Whoever is told something, and an agent that notes what its gate is told."""

    def __init__(self, *_: object, **__: object) -> None:
        self.prepared: list[dict[str, Any]] = []

    def call(self, do: str, *_: object, **fields: Any) -> Answer:
        if do == "gate.prepare":
            self.prepared.append(fields)
        return Answer(None, 0, result={})

    def join(self, *_: object) -> None: ...

    def log(self, *_: object, **__: object) -> bytes:
        return b""


@pytest.fixture
def pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnPods:
    monkeypatch.setattr(module, "AgentLink", Anything)
    monkeypatch.setattr(module, "Exec", Anything)
    monkeypatch.setattr(module, "heard", lambda link, *_: link)
    anything: Any = Anything()
    layout = OwnLayout(deployed(tmp_path), ADDRESSES, "10.1.0.9", "", NAMES)
    found = OwnPods(anything, "trials", {"n1": POD}, layout, anything, tmp_path, anything, lambda _: None, MonotonicClock())
    found.nodes = {"n1": found.nodes["n1"]}
    return found


def emptied(pods: OwnPods) -> list[str]:
    """The folders that the gate's pod was to lose, the last time that it was told anything."""
    link: Any = pods.agents["n1"]
    return list(link.prepared[-1]["empty"])


def test_only_a_harness_that_begins_finds_empty_folders(pods: OwnPods) -> None:
    """Another one may have been in that pod; the data of a pod that follows a deleted one is in its claims."""
    pods.bring_up(lambda _: False)
    assert emptied(pods) == list(pods._layout.folders("n1"))  # noqa: SLF001
    pods.stand_in("n1")
    assert emptied(pods) == []
