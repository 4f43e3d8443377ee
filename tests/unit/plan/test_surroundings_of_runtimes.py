"""What runtimes say of their surroundings are parameters of the models, each of which can be read."""

from __future__ import annotations

import pytest

from chaos.experiment import parameters
from chaos.plan import back_off
from chaos.plan.capabilities import loaded
from chaos.plan.plan import Parameter
from chaos.plugin import Runtime


@pytest.mark.parametrize("runtime", loaded(), ids=lambda each: each.name)
def test_each_can_be_read(runtime: type[Runtime]) -> None:
    """By its key, with its unit; and each says whose word it is."""
    for key, said in runtime.surroundings.items():
        given = parameters.read(key, said.text)
        assert given.low <= given.high
        assert said.origin


def test_who_offers_a_restart_policy_that_waits_says_how() -> None:
    """Of the runtimes here the one of Kubernetes: 0, 10, 20, 40 s."""
    found = {}
    for runtime in loaded():
        given = [parameters.read(key, said.text) for key, said in runtime.surroundings.items()]
        rule = back_off.of([Parameter(each.name, each.low, each.unit, "", each.high) for each in given])
        if rule is not None:
            found[runtime.name] = rule.owed_s([0.0] * 4)
    assert found == {"kubernetes": (0, 10, 20, 40)}
