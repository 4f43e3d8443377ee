"""The network between the nodes is cut, and they have another one: the cut lasts as long as they take to find it."""

from __future__ import annotations

import msgspec
import pytest

from chaos.plan.plan import Parameter
from chaos.plan.traits import known
from chaos.predict.facts import ClassFacts, RunFacts
from chaos.predict.run import predict
from tests.support.predicting import PARAMETERS, a_plan, of_class


def recovery_s(network: str, other_way_s: float | None) -> float | None:
    """After a leader's own network was cut for 3 s, or all of its ways to its peers were."""
    params = {"network": network}
    felt = msgspec.structs.replace(known("partition", params), network="")  # the last network is the peers' own
    facts = RunFacts(60.0, (ClassFacts("partition/leader", "partition", "leader", (3.0,) * 4, params, traits=felt),))
    told = () if other_way_s is None else (Parameter("other_way_s", other_way_s, "s", "experiment"),)
    return of_class(predict(a_plan(parameters=PARAMETERS + told), facts)).recovery_s.value


def test_nobody_is_elected_where_the_other_way_is_found_in_time() -> None:
    """Before the shortest election time-out of 0.5 s the leader is not given up."""
    assert recovery_s("back", 0.2) == pytest.approx(0.2, abs=0.2)
    without = recovery_s("back", None)
    assert without is not None and without > 0.5
    assert recovery_s("back", 2.0) == pytest.approx(without, abs=0.05)


def test_a_cut_of_all_networks_has_no_way_round() -> None:
    """The parameter is about one network alone."""
    assert recovery_s("", 0.2) == pytest.approx(recovery_s("", None) or 0.0, abs=0.05)
