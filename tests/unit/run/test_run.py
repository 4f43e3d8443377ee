"""The interpreter of plans, on the virtual cluster: what it does when, and what it writes down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from chaos.core.clock import Clock, ManualClock, to_ns
from chaos.core.errors import EnvironmentUnusable, NotHealed
from chaos.experiment.document import parse_experiment
from chaos.faults.kill import Kill
from chaos.faults.pause import Pause
from chaos.history.events import (
    Aborting,
    FaultAsked,
    FaultEffective,
    FaultFailed,
    FaultGone,
    FaultHealed,
    FaultSkipped,
    NodeChanged,
    PhaseBegun,
    Row,
    RunEnded,
    Settled,
    TrafficEnded,
    TrafficStarted,
)
from chaos.history.folder import RunFolder
from chaos.judge.judge import judge
from chaos.plan.build import make_plan
from chaos.plan.plan import Plan
from chaos.plugin import Cluster, Deployment, Sink
from chaos.run.run import run_plan
from chaos.run.settle import Settling
from chaos.runtimes.fake.runtime import FakeRuntime
from tests.support.samples import EXPERIMENT, sample_plan, sample_target
from tests.support.virtual_run import of, run

KILLS = """\
  - name: kill-leader
    kill: {recovery: restart}
    target: leader
    every: 8s
    for: 2s
    times: 3
"""


def test_each_fault_goes_from_asked_to_gone_in_its_window(tmp_path: Path) -> None:
    """Asked, effective, healed ``for`` later, proven gone; the victim is whoever led then."""
    plan = sample_plan(KILLS, runtime="fake")
    rows = run(plan, tmp_path)
    start_ns = of(rows, TrafficStarted)[0].start_ns
    effective = of(rows, FaultEffective)
    healed = of(rows, FaultHealed)
    assert [row.id for row in effective] == ["kill-leader.1", "kill-leader.2", "kill-leader.3"]
    assert [row.id for row in healed] == [row.id for row in of(rows, FaultGone)] == [row.id for row in effective]
    for window, on, off in zip(plan.windows, effective, healed, strict=True):
        assert on.at_ns >= start_ns + to_ns(window.start_s)
        assert off.at_ns - on.at_ns == pytest.approx(to_ns(2.0), abs=to_ns(0.2))
    assert {row.fault_class for row in of(rows, FaultAsked)} == {"kill/leader"}


def test_node_changes_carry_the_fault_that_caused_them(tmp_path: Path) -> None:
    """Deaths and restarts that we command are the fault's; nothing died by itself."""
    rows = run(sample_plan(KILLS, runtime="fake"), tmp_path)
    causes = {row.cause for row in of(rows, NodeChanged) if row.at_ns < of(rows, TrafficEnded)[0].at_ns and row.cause}
    assert causes == {"kill-leader.1", "kill-leader.2", "kill-leader.3"}


def test_the_run_ends_when_the_plan_says_and_leaves_nothing_to_undo(tmp_path: Path) -> None:
    """The last row says so."""
    plan = sample_plan(KILLS, runtime="fake")
    rows = run(plan, tmp_path)
    ended = rows[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.left, ended.aborted, ended.signal, ended.bug) == ([], "", None, "")
    start_ns = of(rows, TrafficStarted)[0].start_ns
    assert of(rows, TrafficEnded)[0].end_ns - start_ns == pytest.approx(to_ns(plan.duration_s), abs=to_ns(0.02))
    assert [row.phase for row in of(rows, PhaseBegun)] == ["starting", "baseline", "faults", "stopping"]


def test_a_fault_waits_for_the_cluster_to_settle_and_is_skipped_in_the_end(tmp_path: Path) -> None:
    """A node that stays dead must not hold up others; one that never votes again must."""
    faults = KILLS.replace("times: 3", "times: 1") + "  - {name: second, pause: {}, target: followers, at: 11s, for: 1s}\n"
    rows = run(sample_plan(faults, "settle: 1s\n".replace("settle: 1s\n", ""), runtime="fake"), tmp_path)
    asked = {row.fault: row.at_ns for row in of(rows, FaultAsked)}
    gone = {row.id: row.at_ns for row in of(rows, FaultGone)}
    assert asked["second"] >= gone["kill-leader.1"]
    assert not of(rows, FaultSkipped)


def test_a_fault_that_never_finds_the_cluster_settled_is_skipped_and_says_so(tmp_path: Path) -> None:
    """It waits as long as ``settle`` says from its own time on; the next one keeps its time."""
    faults = (
        "  - {name: long, pause: {}, target: n1, at: 5s, for: 10s}\n  - {name: soon, pause: {}, target: n2, at: 20s, for: 1s}\n"
        "  - {name: later, pause: {}, target: n3, at: 40s, for: 1s}\n"
    )
    plan = sample_plan(faults, runtime="fake")
    early = tuple(
        msgspec.structs.replace(window, start_s=11.0, end_s=12.0) if window.fault == "soon" else window for window in plan.windows
    )
    short = msgspec.structs.replace(plan.experiment, settle_s=2.0)
    rows = run(msgspec.structs.replace(plan, windows=early, experiment=short), tmp_path)
    (skipped,) = of(rows, FaultSkipped)
    assert (skipped.fault, skipped.reason) == ("soon", "the cluster had not settled 2 s after its time")
    assert skipped.at_ns - of(rows, TrafficStarted)[0].start_ns == pytest.approx(to_ns(13.0), abs=to_ns(0.2))
    assert [row.fault for row in of(rows, FaultAsked)] == ["long", "later"]


def test_limits_hold_a_fault_back(tmp_path: Path) -> None:
    """Two nodes at once are refused by ``limits.nodes_down: 1`` while the run goes on."""
    faults = (
        "  - {name: one, kill: {recovery: none}, target: n1, at: 5s}\n"
        "  - {name: two, pause: {}, target: {any: 1}, at: 10s, for: 1s, overlap: true}\n"
    )
    plan = sample_plan(faults, runtime="fake")
    tight = msgspec.structs.replace(plan.experiment, limits=msgspec.structs.replace(plan.experiment.limits, nodes_down=1))
    rows = run(msgspec.structs.replace(plan, experiment=tight), tmp_path)
    skipped = of(rows, FaultSkipped)
    assert [row.fault for row in skipped] == ["two"]
    assert "limits.nodes_down is 1" in skipped[0].reason


def test_an_abort_condition_heals_and_ends_the_run(tmp_path: Path) -> None:
    """Unavailable for longer than allowed: the fault in force is taken back, the traffic stopped, the reason written."""
    faults = "  - {name: all, kill: {}, target: {any: 3}, at: 3s, for: 25s}\n"
    rows = run(sample_plan(faults, "abort_if: {unavailable_for: 2s}\n", runtime="fake"), tmp_path)
    aborting = of(rows, Aborting)
    assert "unavailable for" in aborting[0].condition
    assert [row.id for row in of(rows, FaultHealed)] == ["all.1"]
    ended = rows[-1]
    assert isinstance(ended, RunEnded)
    assert "unavailable for" in ended.aborted
    assert not ended.left
    start_ns = of(rows, TrafficStarted)[0].start_ns
    assert of(rows, TrafficEnded)[0].end_ns - start_ns < to_ns(20)


def test_the_same_seed_gives_the_same_history(tmp_path: Path) -> None:
    """In virtual time two runs of one plan are equal to the byte, but for the wall clock and the folder's name."""
    plan = sample_plan(KILLS, runtime="fake")
    first, second = run(plan, tmp_path / "a"), run(plan, tmp_path / "b")
    assert first[1:] == second[1:]
    assert (tmp_path / "a" / "observations.bin").read_bytes() == (tmp_path / "b" / "observations.bin").read_bytes()


def test_the_runtime_is_given_an_absolute_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes run in folders of their own: a relative ``{data}`` would mean another place to each."""
    seen: list[Path] = []

    class Noting(FakeRuntime):
        @contextmanager
        def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[Cluster]:
            seen.append(deployment.folder)
            with super().up(deployment, sink, clock) as cluster:
                yield cluster

    monkeypatch.chdir(tmp_path)
    run_plan(sample_plan(runtime="fake"), sample_target(), "", RunFolder(Path("here")), Noting(), ManualClock())
    assert seen == [tmp_path / "here"]


def test_live_is_shown_every_row(tmp_path: Path) -> None:
    """The progress line sees what the history holds."""
    shown: list[Row] = []
    rows = run(sample_plan(KILLS, runtime="fake"), tmp_path, live=shown.append)
    assert shown == rows


def test_a_fault_that_sees_the_cluster_whole_first_says_that_it_had_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks first, the fault before is seen settled before the next is asked for: else they would count as overlapping."""
    monkeypatch.setattr(Settling, "look", lambda _self: None)
    rows = run(sample_plan(KILLS, runtime="fake"), tmp_path)
    told = [type(row) for row in rows if isinstance(row, FaultAsked | FaultGone | Settled)]
    assert told == [FaultAsked, FaultGone, Settled, FaultAsked, FaultGone, Settled, FaultAsked, FaultGone]
    checks = {check.name: check.verdict for check in judge(RunFolder(tmp_path)).checks}
    assert checks["no unplanned overlap"] == "pass"


def test_a_node_left_dead_is_not_waited_for(tmp_path: Path) -> None:
    """It stays dead by order: the fault laid over it is proven gone, and the cluster settles without it."""
    faults = (
        "  - {name: dead, kill: {recovery: none}, target: {any: 1}, every: 8s, times: 2, overlap: true}\n"
        "  - {name: later, pause: {}, target: {any: 1}, at: 30s, for: 1s, overlap: true}\n"
    )
    text = EXPERIMENT.replace("nodes: 3", "nodes: 5").replace("FAULTS", faults)
    rows = run(make_plan(parse_experiment(text, "sample.yaml"), sample_target(), seed=3, runtime="fake"), tmp_path)
    assert [row.fault for row in of(rows, FaultAsked)] == ["dead", "dead", "later"]
    assert {row.id for row in of(rows, FaultGone)} == {"dead.1", "dead.2", "later.1"}
    assert not of(rows, FaultSkipped)
    (ended,) = of(rows, RunEnded)
    assert not ended.left


def test_the_smaller_side_of_a_partition_counts_as_down(tmp_path: Path) -> None:
    """``limits.nodes_down`` counts cut nodes, whether they were named as victims or as a group."""
    faults = "  - {name: split, partition: {groups: [[n1], [n2], [n3]]}, at: 5s, for: 1s}\n"
    plan = sample_plan(faults, runtime="fake")
    for limit, skipped in ((1, ["split"]), (2, [])):
        limits = msgspec.structs.replace(plan.experiment.limits, nodes_down=limit)
        tight = msgspec.structs.replace(plan, experiment=msgspec.structs.replace(plan.experiment, limits=limits))
        assert [row.fault for row in of(run(tight, tmp_path / str(limit)), FaultSkipped)] == skipped


@pytest.mark.parametrize("error", [NotHealed("a rule stays"), EnvironmentUnusable("cannot start n1", how="")])
def test_harm_that_could_not_be_taken_back_while_injecting_is_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The run is judged all the same, and comes to 6."""

    @contextmanager
    def inject(*_: object) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr(Pause, "inject", inject)
    rows = run(sample_plan("  - {name: one, pause: {}, target: n1, at: 5s, for: 1s}\n", runtime="fake"), tmp_path)
    (failed,) = of(rows, FaultFailed)
    assert failed.left_over
    assert str(error) in failed.reason
    assert judge(RunFolder(tmp_path)).exit_code == NotHealed.exit_code


def test_what_the_runtime_could_not_remove_at_the_end_is_in_the_history(tmp_path: Path) -> None:
    """A run that happened is judged and reported, as 6, although its cluster could not be taken down."""

    class Sticky(FakeRuntime):
        @contextmanager
        def up(self, deployment: Deployment, sink: Sink, clock: Clock) -> Iterator[Cluster]:
            with super().up(deployment, sink, clock) as cluster:
                yield cluster
            raise NotHealed("n1 does not die")

    run_plan(sample_plan(KILLS, runtime="fake"), sample_target(), "", RunFolder(tmp_path), Sticky(), ManualClock())
    (ended,) = of(RunFolder(tmp_path).rows(), RunEnded)
    assert (ended.left, ended.bug) == (["n1 does not die"], "")
    judged = judge(RunFolder(tmp_path))
    assert judged.exit_code == NotHealed.exit_code
    assert judged.observed is not None


def test_a_bug_in_healing_one_fault_leaves_no_other_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are taken back before the bug ends the run."""

    def broken(*_: object) -> list[int]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Kill, "bring_back", broken)
    faults = (
        "  - {name: one, kill: {}, target: n1, at: 5s, for: 25s}\n  - {name: two, pause: {}, target: n2, at: 6s, for: 25s, overlap: true}\n"
    )
    with pytest.raises(RuntimeError, match="a bug"):
        run(sample_plan(faults, "abort_if: {unavailable_for: 2s}\n", runtime="fake"), tmp_path)
    rows = RunFolder(tmp_path).rows()
    assert [row.id for row in of(rows, FaultHealed)] == ["two.1"]
    (ended,) = of(rows, RunEnded)
    assert ended.bug == "RuntimeError: a bug"
    assert ended.left == ["start n1"]


def cached(settle_s: float) -> Plan:
    """All nodes die for two seconds, and clients hold the empty answer of the name for up to eight; then a second fault is due."""
    faults = "  - {name: all, kill: {}, target: {any: 3}, at: 10s, for: 2s}\n  - {name: second, pause: {}, target: n1, at: 26s, for: 1s}\n"
    plan = sample_plan(faults, runtime="fake")
    dns = msgspec.structs.replace(plan.experiment.cluster.dns, ttl_s=8.0)
    cluster = msgspec.structs.replace(plan.experiment.cluster, dns=dns)
    windows = tuple(msgspec.structs.replace(each, start_s=20.0, end_s=21.0) if each.fault == "second" else each for each in plan.windows)
    experiment = msgspec.structs.replace(plan.experiment, cluster=cluster, settle_s=settle_s)
    return msgspec.structs.replace(plan, experiment=experiment, windows=windows)


def test_a_fault_waits_until_clients_are_well_again(tmp_path: Path) -> None:
    """The nodes have settled long before: what strikes into the outage that goes on would show nothing of its own."""
    plan = cached(settle_s=10.0)
    rows = run(plan, tmp_path)
    seen = judge(RunFolder(tmp_path))
    outage = seen.timeline.services["write"].outages[0]
    assert outage.end_s is not None
    second = next(fault for fault in seen.timeline.faults if fault.name == "second")
    assert second.asked_s is not None
    assert 20.0 < outage.end_s < second.asked_s < outage.end_s + 2.5
    settled_s = [(row.at_ns - seen.timeline.start_ns) / 1e9 for row in of(rows, Settled)]
    assert outage.end_s < settled_s[0] <= second.asked_s
    assert seen.timeline.services["write"].untold == {}


def test_a_fault_whose_clients_stay_unwell_is_skipped_with_that_reason(tmp_path: Path) -> None:
    """It waits no longer than ``settle``."""
    (skipped,) = of(run(cached(settle_s=1.0), tmp_path), FaultSkipped)
    assert skipped.fault == "second"
    assert skipped.reason.startswith("clients of write had been without an answer for ")
