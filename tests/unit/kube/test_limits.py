"""What a container may use, as the API writes it."""

from __future__ import annotations

import pytest

from chaos.core.values import Allowed
from chaos.kube.limits import allowed, quantity


@pytest.mark.parametrize(
    ("written", "number"),
    [("500m", 0.5), ("2", 2), ("1.5", 1.5), ("64Mi", 67_108_864), ("128M", 128_000_000), ("1e3", 1000), ("1Gi", 1 << 30), ("3k", 3000)],
)
def test_quantities(written: str, number: float) -> None:
    assert float(quantity(written)) == number


@pytest.mark.parametrize("written", ["", "lots", "5 Mi", "1ki"])
def test_what_is_no_quantity_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(written)


def pod(written: dict[str, str] | None, in_force: dict[str, str] | None = None):
    beside = {"name": "beside", "resources": {"limits": {"cpu": "9"}}}
    state = {"name": "store"} if in_force is None else {"name": "store", "resources": {"limits": in_force}}
    return {
        "spec": {"containers": [beside, {"name": "store", "resources": {} if written is None else {"limits": written}}]},
        "status": {"containerStatuses": [{"name": "beside"}, state]},
    }


def test_limits_are_those_of_the_container_that_is_meant() -> None:
    assert allowed(pod({"cpu": "500m", "memory": "64Mi"}), "store") == Allowed(cpus=0.5, memory_bytes=67_108_864)
    assert allowed(pod({"memory": "64Mi"}), "store") == Allowed(memory_bytes=67_108_864)
    assert allowed(pod(None), "store") == Allowed()


def test_limits_in_force_go_before_those_that_are_written() -> None:
    """A pod may be given others while it runs (``kubectl patch --subresource resize``)."""
    assert allowed(pod({"cpu": "1"}, {"cpu": "250m"}), "store") == Allowed(cpus=0.25)
