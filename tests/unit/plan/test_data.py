"""``data`` in a plan: what the operations come to, which checks suit, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.api import order_text
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.plan.plan import DataPlan

WHOLE = """
experiment: planned
question: Is the data kept?
cluster: {{target: {target}, nodes: 3, runtime: {runtime}}}
traffic:
  operations: {{write: 20/s}}
baseline: 5s
settle: 2s
{rest}
"""
BARE = """
schema: 1
target: bare
parts: {data: {ports: {client: 7000}, local: {command: [serve]}, docker: {image: bare}, ready: {tcp: "{address}:{client}"}}}
operations:
  write: {http: "PUT http://{address}:{client}/{key}", does: write}
  read: {http: "GET http://{address}:{client}/{key}", does: read}
  poke: {tcp: "{address}:{client}", does: read}
"""


def planned(tmp_path: Path, rest: str, target: str = "replicated_kv", runtime: str = "local") -> DataPlan:
    """The part of a plan that is about data."""
    found = order_text(WHOLE.format(target=target, runtime=runtime, rest=rest), tmp_path / "planned.yaml").plan.data
    assert found is not None
    return found


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A target that says neither who leads nor how one node is read."""
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "target.yaml").write_text(BARE, encoding="utf-8")
    return str(tmp_path / "bare")


def test_without_words_everything_that_suits_is_checked(tmp_path: Path) -> None:
    """Registers, of which no duplicate can be told; half of the operations are reads."""
    found = planned(tmp_path, "data:")
    assert found.workload == "register"
    assert found.mix == {"write": 0.5, "read": 0.5}
    assert set(found.checks) >= {"lost_writes", "linearizable", "diverged_replicas", "one_leader"}
    assert "duplicate_writes" not in found.checks
    assert found.once == 0.2


@pytest.mark.parametrize(("name", "workload"), [("append", "list"), ("add", "set"), ("incr", "counter")])
def test_what_an_operation_does_says_what_a_key_is(tmp_path: Path, name: str, workload: str) -> None:
    """Nothing that grows is written once only."""
    found = planned(tmp_path, f"data: {{mix: {{{name}: 40%, read: 60%}}}}")
    assert (found.workload, found.once) == (workload, 0.0)
    assert "duplicate_writes" in found.checks


def test_a_target_that_says_less_is_checked_for_less(tmp_path: Path, bare: str) -> None:
    """Nodes are not compared, and nobody's reign is known."""
    assert not {"diverged_replicas", "one_leader"} & set(planned(tmp_path, "data:", bare).checks)


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("data: {mix: {write: 50%, read: 40%}}", "data.mix: the shares come to 90% (100% together)"),
        ("data: {mix: {write: 100%}}", "data.mix: nothing is read, so nothing could be found"),
        ("data: {mix: {read: 100%}}", "data.mix: nothing is written"),
        ("data: {mix: {write: 20%, append: 20%, read: 60%}}", "data.mix: list and register cannot be one workload"),
        ("data: {mix: {wrte: 50%, read: 50%}}", "there is no operation 'wrte' (did you mean 'write'?)"),
        ("data: {checks: [duplicate_writes]}", "nothing could decide 'duplicate_writes': it is about counter or list or sets"),
        ("data:\nobjectives: {duplicate_writes: 0}", "objectives.duplicate_writes: nothing could decide 'duplicate_writes'"),
    ],
)
def test_what_could_find_nothing_is_refused(tmp_path: Path, rest: str, says: str) -> None:
    """With its place, and what would be right."""
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, rest)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("data:\nobjectives: {diverged_replicas: 0}", "does not say how one node is read"),
        ("data: {checks: [one_leader]}", "does not say who leads"),
        ("data: {mix: {write: 50%, poke: 50%}}", "the probe 'tcp' of 'poke' cannot tell what a read was answered with"),
    ],
)
def test_what_a_target_does_not_say_cannot_be_checked(tmp_path: Path, bare: str, rest: str, says: str) -> None:
    """It is named, and where it would be said."""
    with pytest.raises(BadInput) as refused:
        planned(tmp_path, rest, bare)
    assert says in str(refused.value)


def test_virtual_nodes_keep_no_data(tmp_path: Path) -> None:
    """Nothing that the fake runtime says of data would be true."""
    with pytest.raises(CapabilityMissing, match="cannot check data: virtual nodes keep no data"):
        planned(tmp_path, "data:", runtime="fake")
