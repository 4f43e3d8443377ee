"""Pods like ours are asked for before any is made; a no is told in the server's own words."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.kube.admission import refuse_unadmitted
from chaos.kube.api import Refused
from chaos.kube.objects import Place

PLACE = Place("shop-20260101-000000-ab12cd", "shop", "chaos-nines:1")
OWNER = {"metadata": {"name": PLACE.name, "uid": "u"}}
MAKERS = [PLACE.job(60, "{}", {}), PLACE.guests(OWNER, {"m1"})]
WORDS = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'


class Server:
    """Admits pods that are not privileged."""

    def __init__(self, status: int = 403) -> None:
        self.asked: list[tuple[str, str, dict[str, Any], dict[str, object]]] = []
        self._status = status

    def ask(self, method: str, path: str, body: dict[str, Any], **query: object) -> dict[str, Any]:
        self.asked.append((method, path, body, query))
        if any(each.get("securityContext", {}).get("privileged") for each in body["spec"]["containers"]):
            raise Refused(self._status, f"the API server refuses POST pods: {WORDS}", "")
        return body


def test_the_servers_own_words_are_told_and_nothing_is_made() -> None:
    server = Server()
    with pytest.raises(EnvironmentUnusable, match=r"does not admit the pods that a run needs: .*violates PodSecurity"):
        refuse_unadmitted(server, "shop", MAKERS)  # type: ignore[arg-type]
    assert all(query == {"dryRun": "All"} for *_, query in server.asked)


def test_pods_that_are_admitted_pass_and_each_is_asked_for() -> None:
    server = Server()
    makers = [{**maker, "spec": {"template": {**maker["spec"]["template"], "spec": {"containers": [{"name": "x"}]}}}} for maker in MAKERS]
    refuse_unadmitted(server, "shop", makers)  # type: ignore[arg-type]
    assert [(method, path) for method, path, *_ in server.asked] == [("POST", "api/v1/namespaces/shop/pods")] * 2


def test_another_trouble_is_its_own() -> None:
    with pytest.raises(Refused):
        refuse_unadmitted(Server(500), "shop", MAKERS)  # type: ignore[arg-type]
