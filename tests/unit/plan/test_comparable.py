"""Which runs are pooled: equal plans have one hash, also in a later version that knows more fields."""

from __future__ import annotations

import msgspec

from chaos.experiment.pods import OursSpec
from chaos.plan.comparable import configuration_hash, stated
from tests.support.samples import TARGET, sample_experiment, sample_target

KILLS = "  - name: kill-leader\n    kill:\n    target: leader\n    every: 6s\n    for: 2s\n    times: 8"


def test_the_configuration_is_the_same_for_what_may_be_compared():
    """Seed, question, objectives and the place of the file do not count; the schedule, the target and the runtime do."""
    target = sample_target()
    base = sample_experiment(KILLS)
    same = [
        msgspec.structs.replace(base, seed=99),
        msgspec.structs.replace(base, question="Why?"),
        msgspec.structs.replace(base, file="elsewhere.yaml"),
        msgspec.structs.replace(base, cluster=msgspec.structs.replace(base.cluster, kubernetes=OursSpec(keeper="a.cluster/asked"))),
        sample_experiment(KILLS, 'objectives: {mttr: "<= 1s"}\n'),
        sample_experiment("\n" + KILLS),
    ]
    assert {configuration_hash(one, target, "local") for one in [base, *same]} == {configuration_hash(base, target, "local")}
    others = [
        configuration_hash(sample_experiment(KILLS.replace("6s", "7s")), target, "local"),
        configuration_hash(base, sample_target(TARGET.replace("restart: 1s", "restart: 2s")), "local"),
        configuration_hash(base, target, "fake"),
        configuration_hash(base, target, "local"),
    ]
    assert len(set(others)) == 4


def test_a_later_version_that_has_more_to_say_knows_the_runs_of_this_one():
    """A field that is new, and left at its default, says nothing; one that is given does."""
    now = msgspec.defstruct("Spec", [("rate_per_s", float), ("zones", dict[str, str], msgspec.field(default_factory=dict))])
    later = msgspec.defstruct(
        "Spec",
        [
            ("rate_per_s", float),
            ("zones", dict[str, str], msgspec.field(default_factory=dict)),
            ("burst", int, 1),
            ("seen", frozenset[str], frozenset()),
        ],
    )
    assert stated(later(rate_per_s=5.0)) == stated(now(rate_per_s=5.0)) == ["Spec", {"rate_per_s": 5.0}]
    assert stated(later(rate_per_s=5.0, burst=2)) == ["Spec", {"rate_per_s": 5.0, "burst": 2}]
    assert stated(later(rate_per_s=5.0, seen=frozenset({"b", "a"}))) == ["Spec", {"rate_per_s": 5.0, "seen": ["a", "b"]}]
    assert stated((now(rate_per_s=1.0, zones={"a": "n1"}), None)) == [["Spec", {"rate_per_s": 1.0, "zones": {"a": "n1"}}], None]
