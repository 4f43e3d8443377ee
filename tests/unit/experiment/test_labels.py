"""Label selectors: what they mean by the documentation of Kubernetes, and what is refused of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.core.errors import BadInput
from chaos.experiment.document import parse_experiment
from chaos.experiment.labels import _PATTERN, meets, requirements

NGINX = {"environment": "production", "tier": "frontend", "shard": "2"}
BARE = {"app": "x"}


@pytest.mark.parametrize(
    ("selector", "nginx", "bare"),
    [
        # the sentences of "Labels and Selectors" in Kubernetes' documentation, each as an example
        ("environment = production", True, False),  # "selects all resources with key equal to environment and value equal to production"
        ("environment==production", True, False),
        ("tier != frontend", False, True),  # "... a value distinct from frontend, and all resources with no labels with the tier key"
        ("environment=production,tier!=frontend", False, False),
        ("environment in (production, qa)", True, False),
        ("environment in (production)", True, False),
        ("tier notin (frontend, backend)", False, True),  # "and all resources with no labels with the tier key"
        ("partition", False, False),
        ("tier", True, False),
        ("!tier", False, True),
        ("tier,!partition", True, False),
        ("environment in (production),tier in (frontend)", True, False),
        # of the library itself: an empty value, and numbers
        ("tier=", False, False),
        ("shard>1", True, False),
        ("shard > 2", False, False),
        ("shard<3,shard>1", True, False),
        ("tier>1", False, False),
        (" tier = frontend , shard != 3 ", True, False),
    ],
)
def test_a_selector_means_what_kubernetes_says(selector: str, nginx: bool, bare: bool) -> None:
    assert (meets(NGINX, selector), meets(BARE, selector)) == (nginx, bare)


@pytest.mark.parametrize(
    "selector", ["app.kubernetes.io/name=store", "statefulset.kubernetes.io/pod-name=store-0", "com.docker.compose.service=web"]
)
def test_keys_may_have_a_prefix(selector: str) -> None:
    key, _, value = selector.partition("=")
    assert meets({key: value}, selector)
    assert not meets({key: f"{value}x"}, selector)
    assert not meets({}, selector)


@pytest.mark.parametrize(
    ("selector", "term"),
    [("tier=cache,", ""), ("tier in cache", "tier in cache"), ("tier=a b", "tier=a b"), ("=cache", "=cache"), ("tier:cache", "tier:cache"),
     ("tier in (a", "tier in (a"), ("tier=cache,-x", "-x"), ("!tier=cache", "!tier=cache"),
     ("shard>two", "shard>two"), ("a/b/c=d", "a/b/c=d"),
     ("a>9223372036854775808", "a>9223372036854775808"), ("a=\xa0b", "a=\xa0b"), ("a\x0c=b", "a\x0c=b"),
     ("a..b/c", "a..b/c"), ("a.-1/c", "a.-1/c"), (f"{'p' * 254}/k", f"{'p' * 254}/k"),
     ("Example.com/tier=x", "Example.com/tier=x"), ("tier in (a,b),,x", ""), ("tier=x;app=y", "tier=x;app=y")],
)  # fmt: skip
def test_what_is_no_selector_is_refused_by_its_term(selector: str, term: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the term is all that it says
        requirements(selector)
    assert str(refused.value) == term


def test_numbers_have_64_bits_as_in_kubernetes() -> None:
    assert meets({"started": "1764586380000000001"}, "started>1764586380000000000")
    assert not meets({"started": "9223372036854775808"}, "started>1")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("selector", [f"tier in ({' ,' * 40}=)", f"tier in (a{' , b' * 40} c)", f"tier={' ' * 4000}!", f"{' ' * 4000}!x y"])
def test_long_selectors_are_refused_at_once(selector: str) -> None:
    """A pattern that could share blanks out in many ways would try each of them: 2 ** 40 here."""
    with pytest.raises(ValueError):  # noqa: PT011 - which term it is does not matter here
        requirements(selector)
    assert not re.fullmatch(_PATTERN, selector)


WORDS = st.text(alphabet="ab-_./=!<>(), in", max_size=14)


@given(selector=WORDS)
def test_reader_and_schema_take_the_same(selector: str) -> None:
    """What an editor underlines by the JSON Schema is what the loader refuses."""
    try:
        requirements(selector)
    except ValueError:
        assert not re.fullmatch(_PATTERN, selector)
    else:
        assert re.fullmatch(_PATTERN, selector)


@given(
    labels=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y", ""]), max_size=3),
    key=st.sampled_from(["a", "b", "c"]),
    value=st.sampled_from(["x", "y"]),
)
def test_each_requirement_and_its_contrary_split_all_labels(labels: dict[str, str], key: str, value: str) -> None:
    assert meets(labels, f"{key}={value}") != meets(labels, f"{key}!={value}")
    assert meets(labels, f"{key} in ({value}, z)") != meets(labels, f"{key} notin ({value}, z)")
    assert meets(labels, key) != meets(labels, f"!{key}")
    assert meets(labels, f"{key},{key}!={value}") == (labels.get(key, value) != value)


TEXT = """\
experiment: shop
question: Who is meant?
cluster: {{attach: {{kubernetes: {{namespace: shop, selector: {pods}}}}}, nodes: 3}}
traffic: {{operations: {{home: {{http: "http://store:8080/", rate: 20/s}}}}}}
faults:
  - pause: {{}}
    target: {{label: {whom}}}
    at: 1s
    for: 1s
"""


def test_a_bad_selector_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput) as refused:
        parse_experiment(TEXT.format(pods="app=store", whom='"tier=cache,shard!!=2"'), "shop.yaml")
    assert str(refused.value) == (
        "shop.yaml:7: faults[0].target.label: 'shard!!=2' in 'tier=cache,shard!!=2' is no requirement of a label selector"
        " (tier=cache, or tier=cache,shard!=2, or 'tier in (cache, store)')"
    )
    with pytest.raises(BadInput, match=r"shop.yaml:3: cluster.attach.kubernetes.selector: 'app is store' is no requirement"):
        parse_experiment(TEXT.format(pods="app is store", whom="tier"), "shop.yaml")
