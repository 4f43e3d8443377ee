"""A machine is closed and opened as kubectl does it, on an API server that answers as a real one: what is somebody else's stays."""

from __future__ import annotations

from typing import Any, cast

import pytest

from chaos.core.errors import EnvironmentUnusable, FaultNotEffective
from chaos.kube.api import Api, Refused
from chaos.kube.cordon import CORDONED, cordon, cordoned_by, uncordon


class Server:
    """Machines, each with its version; every ``busy`` changes one is changed by kubelet in between."""

    def __init__(self, busy: int = 0, allows: bool = True) -> None:
        self.machines: dict[str, dict[str, Any]] = {
            name: {"metadata": {"name": name, "labels": {"zone": "a"}, "resourceVersion": "1"}, "spec": {"podCIDR": "10.0.0.0/24"}}
            for name in ("m1", "m2")
        }
        self.busy = busy
        self.allows = allows

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, namespace) == ("nodes", "")
        import copy

        return copy.deepcopy(self.machines.get(name))

    def listed(self, kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        assert (kind, namespace) == ("nodes", "")
        key, _, value = selector.partition("=")
        return [each for each in self.machines.values() if each["metadata"]["labels"].get(key) == value]

    def change(self, kind: str, namespace: str, name: str, change: dict[str, Any]) -> None:
        assert (kind, namespace) == ("nodes", "")
        machine = self.machines[name]
        if not self.allows:
            raise Refused(403, "nodes is forbidden", "")
        if self.busy:
            self.busy -= 1
            machine["metadata"]["resourceVersion"] += "1"
        if change["metadata"]["resourceVersion"] != machine["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified", "")
        for key, value in change["metadata"]["labels"].items():
            _merge(machine["metadata"]["labels"], key, value)
        for key, value in change["spec"].items():
            _merge(machine["spec"], key, value)
        machine["metadata"]["resourceVersion"] += "1"


def _merge(into: dict[str, Any], key: str, value: object) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


@pytest.mark.parametrize("busy", [0, 2])
def test_what_was_closed_is_opened_and_nothing_is_left(busy: int) -> None:
    server = Server(busy)
    api = cast("Api", server)
    cordon(api, "m2", "run-1")
    assert server.machines["m2"]["spec"]["unschedulable"] is True
    assert cordoned_by(api, "run-1") == ["m2"]
    assert cordoned_by(api, "run-2") == []
    server.busy = busy
    uncordon(api, "m2", "run-1")
    assert server.machines["m2"]["spec"] == {"podCIDR": "10.0.0.0/24"}
    assert server.machines["m2"]["metadata"]["labels"] == {"zone": "a"}
    uncordon(api, "m2", "run-1")  # safe to repeat


def test_a_machine_that_somebody_else_closed_stays_closed() -> None:
    server = Server()
    api = cast("Api", server)
    server.machines["m2"]["spec"]["unschedulable"] = True
    with pytest.raises(FaultNotEffective, match="'m2' is cordoned already, by somebody else"):
        cordon(api, "m2", "run-1")
    uncordon(api, "m2", "run-1")
    assert server.machines["m2"]["spec"]["unschedulable"] is True
    with pytest.raises(FaultNotEffective, match="no machine 'm7'"):
        cordon(api, "m7", "run-1")
    uncordon(api, "m7", "run-1")  # it is gone, and with it what was to be taken back


def test_another_run_does_not_open_it() -> None:
    server = Server()
    api = cast("Api", server)
    cordon(api, "m1", "run-1")
    uncordon(api, "m1", "run-2")
    assert server.machines["m1"]["metadata"]["labels"][CORDONED] == "run-1"
    assert server.machines["m1"]["spec"]["unschedulable"] is True


def test_who_may_not_is_told_what_right_it_takes() -> None:
    with pytest.raises(EnvironmentUnusable, match="may not be cordoned") as refused:
        cordon(cast("Api", Server(allows=False)), "m1", "run-1")
    assert "--rbac --hosts" in str(refused.value)
