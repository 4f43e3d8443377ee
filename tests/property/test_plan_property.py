"""What holds for every plan: a function of (file, seed), no two windows of one fault at once, all within the duration."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.core.errors import BadInput
from chaos.core.values import Link
from chaos.experiment.source import Listing, Scalar, Table, parse, walk
from chaos.experiment.target.templates import Context, Peer, fill
from chaos.plan.build import make_plan
from chaos.plan.selection import resolve
from chaos.plan.traits import made
from tests.support.samples import sample_experiment, sample_target

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
TARGET = sample_target()
SEEDS = st.integers(min_value=0, max_value=2**53 - 1)
SPANS = st.integers(min_value=100, max_value=5000)
WHEN = st.one_of(
    st.integers(8000, 60_000).map(lambda ms: f"every: {ms}ms\n    times: 5"),
    st.integers(8000, 60_000).map(lambda ms: f"every: {ms}ms\n    exact: true\n    times: 5"),
    st.integers(100, 60_000).map(lambda ms: f"every: {{poisson: {ms}ms}}\n    times: 5"),
    st.integers(100, 60_000).map(lambda ms: f"every: {{renewal: {{distribution: lognormal, mean: {ms}ms, cv: 0.8}}}}\n    times: 5"),
)
NODES = st.sampled_from(["leader", "followers", "any", "minority", "majority", "n2", "[n1, n3]", "{any: 2}", "{percent: 60%}"])
LINKS = st.sampled_from(
    ["leader -> any", "leader <-> any", "clients -> n2", "any -> n1", "followers -> leader", "n1 <-> n3", "dns -> leader"]
)


def planned(what: str, when: str, for_ms: int, seed: int):
    """The plan of one fault."""
    return make_plan(sample_experiment(f"  - {what}\n    {when}\n    for: {for_ms}ms"), TARGET, seed=seed, runtime="local")


@QUIET
@given(target=NODES, when=WHEN, for_ms=SPANS, seed=SEEDS)
def test_a_plan_is_a_function_of_file_and_seed(target, when, for_ms, seed):
    """The same bytes, windows in order, none overlapping its neighbour, all over before the end."""
    plan = planned(f"pause:\n    target: {target}", when, for_ms, seed)
    assert msgspec.json.encode(plan) == msgspec.json.encode(planned(f"pause:\n    target: {target}", when, for_ms, seed))
    assert len(plan.windows) == 5
    for earlier, later in pairwise(plan.windows):
        assert earlier.end_s is not None
        assert later.start_s >= earlier.end_s - 2e-4
    last = plan.windows[-1]
    assert plan.windows[0].start_s >= plan.experiment.baseline_s
    assert last.end_s is not None
    assert plan.duration_s >= last.end_s + plan.experiment.settle_s - 1e-3


@QUIET
@given(link=LINKS, leader=st.sampled_from(["n1", "n2", "n3"]), draw=SEEDS)
def test_every_link_that_is_resolved_was_prepared(link, leader, draw):
    """Whoever leads: local can only break links that it proxies from the start."""
    plan = planned(f'latency: {{latency: 5ms}}\n    target: {{link: "{link}"}}', "at: 6s", 1000, 1)
    roles = {node.name: frozenset({"leader"} if node.name == leader else ()) for node in plan.nodes}
    victims = resolve(
        plan.experiment.faults[0].target, nodes=plan.nodes, roles=roles, up=frozenset(roles), protect=(), draw=draw, last={},
        part="data", has_roles=True, fault=made(plan.experiment.faults[0]),
    )  # fmt: skip
    assert victims.links
    assert set(victims.links) <= set(plan.links)
    assert all(isinstance(one, Link) and one.source != one.destination for one in victims.links)


YAML = st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#% \n\t1.,?~"), max_size=60)


@settings(max_examples=400, deadline=None)
@given(text=YAML)
def test_any_text_is_read_or_refused(text):
    """Never another error; and whatever is read knows its line."""
    try:
        found = parse(text, "x.yaml")
    except BadInput as refusal:
        assert refusal.place is not None
        return
    for value in walk(found):
        assert isinstance(value, Scalar | Listing | Table)
        assert value.place.line is not None
        assert 1 <= value.place.line <= text.count("\n") + 1


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("{}ab:nodepeers "), max_size=40))
def test_any_template_is_filled_or_refused(text):
    """Never another error; and plain text with doubled braces comes back as it was."""
    context = Context(node="n1", address="a", ports={}, settings={}, peers=(Peer("n1", "a"), Peer("n2", "b")))
    assert fill(text.replace("{", "{{").replace("}", "}}"), context) == text
    try:
        fill(text, context)
    except BadInput as refusal:
        assert text == "" or refusal.message
