"""From an experiment and a seed to a plan: what it fixes, what it prepares, what it refuses."""

from __future__ import annotations

import msgspec
import pytest

from chaos.core.errors import BadInput, CapabilityMissing
from chaos.core.values import Link
from chaos.experiment.document import load_experiment, parse_experiment
from chaos.experiment.selectors import Named
from chaos.experiment.target.load import load_target
from chaos.faults.partition import Partition
from chaos.plan.build import describe, make_plan
from chaos.plan.objectives import too_fast
from chaos.plan.plan import Parameter, Plan, PlannedNode
from chaos.plan.selection import resolve
from tests.support.paths import ROOT
from tests.support.samples import EXPERIMENT, TARGET, sample_experiment, sample_plan, sample_target

KILLS = "  - name: kill-leader\n    kill:\n    target: leader\n    every: 6s\n    for: 2s\n    times: 8"
SLOW = '\n  - name: slow\n    latency: {latency: 50ms}\n    target: {link: "leader <-> any"}\n    at: 55s\n    for: 4s'
PAUSE = "  - pause:\n    target: {target}\n    at: 6s\n    for: 2s"


def all_links(*names: str) -> tuple[Link, ...]:
    """Every directed pair."""
    return tuple(sorted(Link(one, other) for one in names for other in names if one != other))


def test_the_quickstart_is_planned_as_it_reads():
    """Eight leader kills, each later than its beat by less than the TTL, then one spell on all the leader's links."""
    plan = sample_plan(KILLS + SLOW)
    kills = [window for window in plan.windows if window.fault == "kill-leader"]
    assert [window.id for window in kills] == [f"kill-leader.{i}" for i in range(1, 9)]
    for i, window in enumerate(kills, 1):
        assert 0 <= window.start_s - (5 + 6 * i) <= 1
        assert window.end_s == pytest.approx(window.start_s + 2)
    assert plan.windows[-1].start_s == 60.0
    assert plan.duration_s == 60 + 4 + 10
    assert plan.links == all_links("n1", "n2", "n3")
    assert len({window.draw for window in plan.windows}) == 9
    assert plan.nodes == (PlannedNode("n1", "data"), PlannedNode("n2", "data"), PlannedNode("n3", "data"))
    assert (plan.judge, plan.has_roles, plan.replication, plan.seed) == ("write", True, "quorum", 1)


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_times():
    """Nothing but file and seed goes in; the seed of the command line wins."""
    assert msgspec.json.encode(sample_plan(KILLS, seed=3)) == msgspec.json.encode(sample_plan(KILLS, seed=3))
    assert sample_plan(KILLS, seed=3).windows != sample_plan(KILLS, seed=4).windows
    assert sample_plan(KILLS, "seed: 9\n").seed == 9
    assert sample_plan(KILLS, "seed: 9\n", seed=0).seed == 0


def test_adding_a_fault_moves_no_other():
    """Each draws from a stream of its own name."""
    alone = sample_plan(KILLS).windows
    assert tuple(window for window in sample_plan(KILLS + SLOW).windows if window.fault == "kill-leader") == alone


def test_a_plan_survives_its_file():
    """What is written is what is read."""
    plan = sample_plan(KILLS + SLOW)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_settings_and_parameters_come_with_their_origin():
    """Defaults, the experiment's settings inside the target's model, and overrides of the prediction."""
    experiment = sample_experiment(KILLS, "predict: {parameters: {restart: 3s, resync: [1s, 2s]}}\n")
    cluster = msgspec.structs.replace(experiment.cluster, settings={"heartbeat": "50ms"})
    plan = make_plan(msgspec.structs.replace(experiment, cluster=cluster), sample_target(), seed=None, runtime="local")
    assert plan.settings == {"heartbeat": "50ms", "reads": "quorum", "cache": "64"}
    assert plan.parameters == (
        Parameter("heartbeat_s", 0.05, "s", "target"),
        Parameter("election_timeout_s", 0.15, "s", "target", high=0.3),
        Parameter("restart_s", 3.0, "s", "experiment"),
        Parameter("resync_s", 1.0, "s", "experiment", high=2.0),
        Parameter("leaderless", 1.0, "", "target", word="hang"),
    )


def test_several_parts_have_names_of_their_own():
    """data-1.., in the order of the target; words speak of the part behind the name."""
    second = '  sentinel: {ports: {client: 26379}, ready: {tcp: "{address}:{client}"}, local: {command: [s]}}\n'
    target = sample_target(TARGET.replace("roles:\n", second + "roles:\n").replace("voting: ready", 'voting: {tcp: "{address}:{client}"}'))
    experiment = sample_experiment(PAUSE.format(target="minority"))
    cluster = msgspec.structs.replace(experiment.cluster, nodes=None, parts={"sentinel": 1}, zones={"a": ("data-1", "sentinel-1")})
    plan = make_plan(msgspec.structs.replace(experiment, cluster=cluster), target, seed=None, runtime="local")
    assert [(node.name, node.part, node.zone) for node in plan.nodes] == [
        ("data-1", "data", "a"), ("data-2", "data", None), ("data-3", "data", None), ("sentinel-1", "sentinel", "a"),
    ]  # fmt: skip
    with pytest.raises(BadInput, match="has 2 parts, say how many of each"):
        make_plan(experiment, target, seed=None, runtime="local")


@pytest.mark.parametrize(
    ("fault", "links"),
    [
        ('latency: {latency: 50ms}\n    target: {link: "n1 -> n2"}', (Link("n1", "n2"),)),
        ('latency: {latency: 50ms}\n    target: {link: "clients -> n2"}', (Link("clients", "n2"),)),
        ("partition: {include: [clients, dns]}\n    target: n2", (Link("clients", "n2"), Link("dns", "n2"))),
        (
            "partition: {groups: [[n1], [n2, n3]]}",
            tuple(sorted(Link(*pair) for pair in [("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1")])),
        ),
        ("partition:\n    target: minority", all_links("n1", "n2", "n3")),
        ("kill:\n    target: leader", ()),
    ],
)
def test_just_the_links_that_a_fault_may_touch_are_prepared(fault, links):
    """Over every leader and draw there may be; a kill touches none."""
    assert sample_plan(f"  - {fault}\n    at: 6s\n    for: 2s").links == links


def test_the_end_follows_from_the_schedule_and_may_be_later():
    """End of the last window and its settling; without faults, the baseline's."""
    assert sample_plan(PAUSE.format(target="any")).duration_s == 5 + 6 + 2 + 10
    assert sample_plan(PAUSE.format(target="any"), "duration: 40s\n").duration_s == 40
    assert sample_plan("  []").duration_s == 15
    assert sample_plan("  []", "duration: 1m\n").duration_s == 60


def test_without_times_the_duration_says_how_many():
    """As many as begin, end and settle within it."""
    plan = sample_plan("  - pause:\n    target: any\n    every: 10s\n    exact: true\n    for: 2s", "duration: 50s\n")
    assert [window.start_s for window in plan.windows] == [15, 25, 35]


def test_a_kill_for_good_has_no_end():
    """`recovery: none` needs no `for`; the run ends after it has settled."""
    plan = sample_plan("  - kill: {recovery: none}\n    target: any\n    at: 6s")
    assert [(window.start_s, window.end_s) for window in plan.windows] == [(11.0, None)]
    assert plan.duration_s == 21


def test_a_planned_overlap_is_allowed():
    """The one that begins second says so, and limits count both."""
    second = "\n  - name: cut\n    partition:\n    target: any\n    at: 7s\n    for: 3s\n    overlap: true"
    assert len(sample_plan(PAUSE.format(target="leader") + second).windows) == 2
    with pytest.raises(BadInput, match=r"up to 2 nodes would be down, and limits\.nodes_down is 1"):
        sample_plan(PAUSE.format(target="leader") + second, "limits: {nodes_down: 1}\n")


def test_what_follows_a_kill_for_good_overlaps_it():
    """It is in force to the end, so whatever comes later must say that it knows."""
    first = "  - name: dead\n    kill: {recovery: none}\n    target: n1\n    at: 1s\n"
    with pytest.raises(BadInput, match="while 'dead' is in force \\(from 1s to the end"):
        sample_plan(first + PAUSE.format(target="n2"))
    with pytest.raises(BadInput, match="would hit n1, which is down by 'dead' already"):
        sample_plan(first + PAUSE.format(target="n1") + "\n    overlap: true")
    assert len(sample_plan(first + PAUSE.format(target="n2") + "\n    overlap: true").windows) == 2


def test_a_kill_for_good_overlaps_its_own_next_time():
    """The cluster never settles after it, so the second one would only be skipped."""
    with pytest.raises(BadInput, match=r"'dead' would begin while 'dead' is in force .* to the end"):
        sample_plan("  - {name: dead, kill: {recovery: none}, target: {any: 1}, every: 8s, times: 2}")


def test_back_to_back_is_no_overlap():
    """One ends as the other begins."""
    second = "\n  - name: second\n    pause:\n    target: any\n    at: 8s\n    for: 1s"
    assert len(sample_plan(PAUSE.format(target="any") + second).windows) == 2


@pytest.mark.parametrize(
    ("fault", "target", "how"),
    [
        ("kill: {recovery: policy}\n    target: leader", TARGET, "plain processes have no restart policy"),
        ("partition: {existing: keep}\n    target: leader", TARGET, "needs packet rules"),
        ('latency: {latency: 50ms}\n    target: {link: "n1 -> clients"}', TARGET, "write 'clients -> n1'"),
        (
            'latency: {latency: 50ms}\n    target: {link: "n1 -> n2"}',
            TARGET.replace("local: {peers: per-node}\n", ""),
            "an address of its own for each peer",
        ),
        ("kill:\n    target: leader", TARGET.replace("    local: {command", "    docker: {command"), "add 'parts.data.local"),
    ],
)
def test_what_plain_processes_cannot_do_is_told_before_anything_starts(fault, target, how):
    """Exit 5, with the way out; the fake runtime has few such limits."""
    text = f"  - {fault}\n    at: 6s\n    for: 2s"
    with pytest.raises(CapabilityMissing) as refused:
        sample_plan(text, target=sample_target(target))
    assert how in refused.value.how
    assert refused.value.exit_code == 5
    if "existing" not in fault and "policy" not in fault:  # these two the fake runtime lacks as well
        assert sample_plan(text, target=sample_target(target), runtime="fake").windows


def test_links_from_clients_work_on_a_target_that_knows_nothing_of_us():
    """Only links between peers need addresses of their own."""
    plain = sample_target(TARGET.replace("local: {peers: per-node}\n", ""))
    assert sample_plan("  - partition: {include: [clients]}\n    target: n2\n    at: 6s\n    for: 2s", target=plain).links


def test_a_target_without_roles_has_no_leader_to_pick():
    """Told at the fault, with what can be picked instead."""
    plain = sample_target(TARGET.replace('  leader: {http: "http://{address}:{client}/status", json: "state=leader"}\n', ""))
    assert not sample_plan(PAUSE.format(target="any"), target=plain).has_roles
    for target in ("leader", "followers"):
        with pytest.raises(BadInput, match="'sample' has no roles: nobody leads"):
            sample_plan(PAUSE.format(target=target), target=plain)


def test_the_table_of_a_plan_reads_like_the_file():
    """One row a window: when, what, to whom, and the fields that are not at their default."""
    rows = describe(sample_plan(KILLS.replace("times: 8", "times: 1") + SLOW))
    assert [(row.id, row.kind, row.target, row.details, row.overlap) for row in rows] == [
        ("kill-leader.1", "kill", "leader", "", False),
        ("slow.1", "latency", "leader <-> any", "latency 50 ms", False),
    ]
    assert (rows[1].start_s, rows[1].end_s) == (60.0, 64.0)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("[n1, n2]", "n1, n2"), ("{any: 2}", "2 of any"), ("{percent: 40%}", "40% of any"), ("majority", "majority"),
        ("{part: data, any: 1}", "1 of any (part data)"), ("followers", "followers"),
    ],
)  # fmt: skip
def test_every_selector_is_shown(target, shown):
    """In the words of the file."""
    assert describe(sample_plan(PAUSE.format(target=target)))[0].target == shown


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_experiment_can_be_planned(file, monkeypatch):
    """On plain processes, if it does not say that it needs containers; with its own target."""
    monkeypatch.chdir(ROOT)
    experiment = load_experiment(file)
    runtime = "docker" if experiment.cluster.runtime == "docker" else "local"
    plan = make_plan(experiment, load_target(experiment.cluster.target, beside=file.parent), seed=None, runtime=runtime)
    assert plan.duration_s > experiment.baseline_s


LIMITED = """\
  - bandwidth: {rate: 100KB/s, stream: both}
    target: {link: "clients -> n1"}
    at: 1s
    for: 2s
  - limit_data: {bytes: 64KB}
    target: {link: "clients -> n1"}
    at: 20s
    for: 2s
  - dns: {mode: slow, delay: 300ms}
    at: 40s
    for: 2s
"""


def test_the_plan_shows_sizes_rates_and_times_with_their_units() -> None:
    """As people write them."""
    assert [row.details for row in describe(sample_plan(LIMITED))] == [
        "rate 100 KB/s, stream both",
        "bytes 64 KB",
        "mode slow, delay 300 ms",
    ]


SHAPED = """\
  - partition: {{shape: {shape}}}
    {target}
    at: 1s
    for: 2s
"""


@pytest.mark.parametrize(
    ("shape", "target", "roles", "links"),
    [
        ("halves", "", {"halves"}, 20),
        ("bridge", "", {"bridge"}, 20),
        ("ring", "", {"ring"}, 20),
        ("minority", "target: leader", {"minority:leader"}, 20),
        ("majority", "target: n1", {"majority:leader", "majority:follower"}, 20),
    ],
)
def test_shapes_prepare_every_link_that_they_may_cut(shape: str, target: str, roles: set[str], links: int) -> None:
    """Whoever comes to stand where; what is drawn at injection is among what was planned."""
    experiment = sample_experiment(SHAPED.format(shape=shape, target=target).replace("    \n", ""))
    experiment = msgspec.structs.replace(experiment, cluster=msgspec.structs.replace(experiment.cluster, nodes=5))
    plan = make_plan(experiment, sample_target(), seed=1, runtime="local")
    assert len(plan.links) == links
    spec, names = experiment.faults[0], [node.name for node in plan.nodes]
    fault = Partition(shape=shape)  # type: ignore[arg-type]
    found = set()
    for draw in range(60):
        leader = names[draw % 5]
        victims = resolve(
            spec.target, nodes=plan.nodes, roles={leader: frozenset({"leader"})}, up=frozenset(names), protect=(), draw=draw, last={},
            part="data", has_roles=True, fault=fault,
        )  # fmt: skip
        assert {rule.link for rule in fault.rules(victims, names)} <= set(plan.links)
        found.add(victims.role)
    assert found == roles


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("partition: {shape: ring}\n    target: leader", "done to nobody in particular"),
        ('partition: {shape: minority}\n    target: {link: "leader -> any"}', "a link has no shape"),
        ("partition: {shape: minority}\n    target: {any: 2}", "cannot stand in a minority of 1"),
        ("dns: {mode: down}\n    target: n1", "done to nobody in particular"),
        ("pause: {}\n    target: n1\n    at: 1s\n    for: 1s\n  - partition: {shape: minority}\n    target: {same: pause-1}", "by itself"),
        ("dns: {mode: missing, record: n9}", "there is no node 'n9'"),
        ("bandwidth: {rate: 1KB/s}\n    target: n1", "cannot be done to nodes"),
        ('loss: {percent: 5%, direction: to}\n    target: {link: "n1 -> n2"}', "a link has its direction by its arrow"),
    ],
)
def test_shapes_and_names_that_cannot_be_meant(entry: str, message: str) -> None:
    """Refused with what is wrong."""
    with pytest.raises(BadInput, match=message):
        sample_plan(f"  - {entry}\n    at: 1s\n    for: 2s\n")


def test_no_protected_node_stands_on_the_side_that_is_cut_off() -> None:
    """A majority takes it in; a minority passes it over; a shape of the whole part leaves its links alone."""
    nodes = tuple(PlannedNode(f"n{number}", "data") for number in range(1, 6))
    everybody = frozenset(node.name for node in nodes)
    for draw in range(30):
        picked = {
            shape: resolve(
                Named(("n1",)) if shape in ("majority", "minority") else None, nodes=nodes, roles={}, up=everybody,
                protect=("n4",), draw=draw, last={}, part="data", has_roles=False, fault=Partition(shape=shape),
            )
            for shape in ("majority", "minority", "halves", "ring")
        }  # fmt: skip
        assert {"n1", "n4"} <= set(picked["majority"].groups[0])
        assert "n1" in picked["minority"].groups[0]
        assert "n4" not in picked["minority"].groups[0]
        assert sorted(sum(picked["halves"].groups, ())) == ["n1", "n2", "n3", "n5"]
        assert not any("n4" in (link.source, link.destination) for link in picked["ring"].links)


@pytest.mark.parametrize(("rate", "warns"), [("3000/s", False), ("3001/s", True), ("20000/s", True)])
def test_a_rate_that_the_prober_may_not_prove_is_said_before_the_run(rate, warns):
    """In so many words; more than 20,000 a second are refused."""
    text = EXPERIMENT.replace("FAULTS", "  []").replace("write: 100/s", f"write: {rate}")
    found = too_fast(parse_experiment(text, "sample.yaml"))
    assert bool(found) is warns
    assert not warns or "more than 1 % of slots sent late the verdict is unknown (at most 3,000/s)" in found[0]
    with pytest.raises(BadInput, match="at most 20,000/s"):
        parse_experiment(text.replace(rate, "20001/s"), "sample.yaml")


@pytest.mark.parametrize("lasts", ["1e-300s", "999us", "0.0001ms"])
def test_what_is_shorter_than_a_timer_is_refused(lasts):
    """A fault is done and undone by timers of a millisecond."""
    with pytest.raises(BadInput, match="at least 1ms"):
        sample_experiment(f"  - {{kill: {{}}, target: any, at: 1s, for: {lasts}}}")


@pytest.mark.parametrize(
    ("change", "refused"), [("{at: 7s, to: 200/s}", False), ("{at: 7s, to: 200/s, over: 20s}", True), ("{at: 90s, to: 20/s}", True)]
)
def test_a_rate_changes_while_there_is_traffic(change: str, refused: bool) -> None:
    """Traffic ends with the last fault and its settling, or at ``duration``."""
    text = EXPERIMENT.replace("FAULTS", PAUSE.replace("{target}", "n1")).replace(
        "write: 100/s", f"write: {{rate: {{first: 100/s, then: [{change}]}}}}"
    )
    assert change in text
    if not refused:
        make_plan(parse_experiment(text, "x.yaml"), sample_target(), seed=1, runtime="local")
        return
    with pytest.raises(BadInput, match=r"then\[0\].*this change would be over at .* traffic ends at 23s .*'duration:' above"):
        make_plan(parse_experiment(text, "x.yaml"), sample_target(), seed=1, runtime="local")
