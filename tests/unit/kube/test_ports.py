"""The pods' port behind that of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.ports import behind

PODS = [{"spec": {"containers": [{"name": "side"}, {"name": "web", "ports": [{"name": "http", "containerPort": 8080}]}]}}]


def service(*ports: dict[str, Any], address: str = "10.96.0.7") -> dict[str, Any]:
    return {"metadata": {"name": "front"}, "spec": {"clusterIP": address, "ports": list(ports)}}


def test_a_number_a_name_and_the_same() -> None:
    found = service({"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "http"}, {"port": 9000})
    assert [behind(found, port, PODS) for port in (80, 81, 9000)] == [8080, 8080, 9000]


def test_a_headless_service_hands_nothing_on() -> None:
    assert behind(service({"port": 80, "targetPort": 8080}, address="None"), 80, PODS) == 80
    assert behind(None, 80, PODS) == 80


def test_a_port_that_it_has_not_and_a_name_that_nobody_has() -> None:
    with pytest.raises(EnvironmentUnusable, match="has no port 8080") as refused:
        behind(service({"port": 80}), 8080, PODS)
    assert "its own ports: 80" in str(refused.value)
    with pytest.raises(EnvironmentUnusable, match="its pods have 0 of that name"):
        behind(service({"port": 80, "targetPort": "web"}), 80, PODS)
