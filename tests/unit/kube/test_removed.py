"""What a run made is removed until it is gone; a namespace of its own last, and once: it takes its time."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.kube import standing
from chaos.kube.standing import Whereabouts, remove, things

WHERE = Whereabouts("there", "nines-1", own=True, whole=True)


class Server:
    """Things that are gone some questions after they were told to go."""

    def __init__(self, lasts: dict[str, int]) -> None:
        self.lasts = dict(lasts)
        self.told: list[str] = []

    def listed(self, kind: str, namespace: str, selector: str) -> list[dict[str, Any]]:
        assert selector == "nines.run=r"
        assert namespace == ("" if kind == "namespaces" else "nines-1")
        if kind in self.told:
            self.lasts[kind] -= 1
        return [{"metadata": {"name": f"a-{kind}"}}] if self.lasts.get(kind, 0) > 0 else []

    def remove(self, kind: str, _namespace: str, _name: str, *, grace_s: int | None) -> bool:
        if kind == "namespaces":
            assert kind not in self.told
            assert not any(left > 0 for other, left in self.lasts.items() if other != kind)
        assert (grace_s == 0) == (kind == "pods")
        self.told.append(kind)
        return True


def test_a_namespace_goes_last_and_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.0)
    server = Server({"jobs": 1, "statefulsets": 2, "pods": 3, "namespaces": 5})
    assert things(server, WHERE, "r") == [(kind, f"a-{kind}") for kind in ("jobs", "statefulsets", "pods", "namespaces")]  # type: ignore[arg-type]
    assert remove(server, WHERE, "r") == []  # type: ignore[arg-type]
    assert server.told[0] == "jobs"
    assert server.told[-1] == "namespaces"


def test_what_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(standing, "GONE_WITHIN_S", 0.02)
    left = remove(Server({"pods": 10**9}), WHERE, "r")  # type: ignore[arg-type]
    assert left == [("pods", "a-pods")]
