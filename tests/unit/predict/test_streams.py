"""Links that refuse or are silent: predicted as partitions of that link; what is not predicted says why."""

from __future__ import annotations

import msgspec
import pytest

from chaos.experiment.selectors import LinkTo
from chaos.experiment.traffic import ClientPolicy
from chaos.plan.plan import Plan
from chaos.predict.run import draws, facts_from_plan, predict
from tests.support.predicting import Field, a_plan
from tests.support.synthetic import kills

ONE = ClientPolicy(attempts=1, other_address=False)


def harmed(kind: str, client: ClientPolicy, link: LinkTo, **fields: Field) -> Plan:
    """One fault of 6 s on a link."""
    spec, windows = kills([10.0], for_s=6.0, kind=kind)
    spec = msgspec.structs.replace(spec, target=link, params=fields)
    return a_plan(client=client, faults=(spec,), windows=tuple(windows))


def lost_s(plan: Plan) -> float:
    (samples,) = draws(plan, facts_from_plan(plan), "write").values()
    return float(samples.lost_s.mean())


@pytest.mark.parametrize(("kind", "fields"), [("down", {}), ("timeout", {}), ("timeout", {"timeout_s": 1.0})])
def test_a_link_of_clients_costs_the_share_of_picks_and_no_more(kind: str, fields: dict[str, Field]) -> None:
    """One node of three, one attempt: a third of the requests for 6 s; with a second address nobody loses anything."""
    to_one = LinkTo("clients", "n2")
    assert lost_s(harmed(kind, ONE, to_one, **fields)) == pytest.approx(2.0, rel=0.05)
    assert lost_s(harmed(kind, ClientPolicy(), to_one, **fields)) == 0.0


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [("loss", {"percent": 0.1}, "TCP's own timers"), ("timeout", {"toxicity": 0.5}, "a part of the connections"),
     ("timeout", {"timeout_s": 0.05}, "less time than a client waits"), ("cpu", {}, "its own")],
)  # fmt: skip
def test_what_is_not_predicted_says_why(kind: str, fields: dict[str, Field], why: str) -> None:
    """In place of a figure."""
    plan = harmed(kind, ONE, LinkTo("clients", "n2"), **fields)
    (found,) = predict(plan, facts_from_plan(plan)).predicted.by_fault.values()
    assert found.share.value is None
    assert "do not know" in found.share.reason
    assert why in found.share.reason
