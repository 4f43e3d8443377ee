"""What an API server says when it refuses, as it was recorded from v1.34, and what is told of it."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from chaos.kube.access import Access
from chaos.kube.api import Api, Refused, Thing
from chaos.kube.evict import evict

HELD: dict[str, Any] = {
    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "TooManyRequests", "code": 429,
    "message": "Cannot evict pod as it would violate the pod's disruption budget.",
    "details": {"causes": [
        {"reason": "DisruptionBudget", "message": "The disruption budget store needs 2 healthy pods and has 2 currently"},
    ]},
}  # fmt: skip
WRONG: dict[str, Any] = {
    "kind": "Status", "code": 422, "message": 'Pod "x" is invalid: spec.containers: Required value',
    "details": {"causes": [{"field": "spec.containers", "message": "Required value"}]},
}  # fmt: skip


def refused(said: dict[str, Any]) -> Refused:
    return Api(Access("https://10.0.0.1", "shop"))._refused("POST", "x", said["code"], msgspec.json.encode(said).decode())


def test_a_budget_is_named_that_holds_a_pod_back() -> None:
    """By its cause, which the message leaves out; without a full stop, since the words stand in a sentence."""

    class Holds:
        def ask(self, method: str, path: str, body: Thing) -> Thing:
            raise refused(HELD)

    assert evict(cast("Api", Holds()), "shop", "store-0", "uid") == (
        "Cannot evict pod as it would violate the pod's disruption budget. "
        "The disruption budget store needs 2 healthy pods and has 2 currently"
    )


def test_what_the_message_has_is_not_said_twice() -> None:
    assert str(refused(WRONG).what).endswith('refuses POST x: Pod "x" is invalid: spec.containers: Required value')


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"details": null}'])
def test_an_answer_of_another_form_is_told_as_it_is(text: str) -> None:
    """A proxy before the server may answer with anything."""
    found = Api(Access("https://10.0.0.1", "shop"))._refused("GET", "x", 502, text)
    assert found.what == f"the API server shop (https://10.0.0.1) refuses GET x: {text or 502}"
