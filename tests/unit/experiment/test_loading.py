"""From a file to an experiment: every key read as meant, every mistake told with its place."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest

from chaos.core import units
from chaos.core.errors import BadInput
from chaos.experiment.cluster import Dns, DnsCheck
from chaos.experiment.document import Experiment, Slo, load_experiment, parse_experiment
from chaos.experiment.objectives import Bound, ObjectiveSpec
from chaos.experiment.production import ProductionRate
from chaos.experiment.safety import AbortIf
from chaos.experiment.schedules import At, Every, Poisson, Renewal
from chaos.experiment.selectors import LinkTo, Named, Role, Same, Side, Zone
from chaos.experiment.source import MAX_BYTES, locate, parse, read_text
from chaos.experiment.tables import table
from chaos.experiment.traffic import ClientPolicy, OperationSpec, OutageRule
from chaos.plan.build import make_plan
from tests.support.paths import BAD, ROOT
from tests.support.samples import EXPERIMENT, sample_experiment, sample_plan, sample_target

MESSAGES = {line.split(":", 1)[0]: line for line in (BAD / "messages.txt").read_text(encoding="utf-8").splitlines()}


@pytest.mark.parametrize("file", sorted(BAD.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_bad_file_is_refused_with_its_exact_message(file):
    """Loading or planning says file, line, path, what is there and what would be right; ``bad/messages.txt`` holds them all."""
    with pytest.raises(BadInput) as refused:
        make_plan(load_experiment(file), sample_target(), seed=None, runtime="local")
    assert str(refused.value).replace(f"{BAD}/", "") == MESSAGES[file.name]
    assert refused.value.exit_code == 2


def test_every_message_belongs_to_a_file():
    """None is left of a file that is gone."""
    assert set(MESSAGES) == {file.name for file in BAD.glob("*.yaml")}


def test_a_file_that_is_not_there_or_cannot_be_read_is_told(tmp_path):
    """A missing file, a folder, one that is far too large."""
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    for path, says in [
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "this is a folder, not a file"),
        (big, "is larger than"),
    ]:
        with pytest.raises(BadInput, match=says):
            load_experiment(path)


FULL = """\
experiment: full
question: What does every key become?
cluster:
  target: sample
  parts: {data: 5}
  settings: {heartbeat: 50ms, reads: local, cache: 0}
  zones: {a: [n1, n2], b: [n3]}
  runtime: local
  dns:
    {balancer: round-robin, part: data, ttl: 2s, order: [a, b], weights: {a: 2, b: 1.5},
     check: {what: "role:leader", every: 100ms, timeout: 50ms, fall: 3, rise: 1}}
traffic:
  operations:
    write: 100/s
    read: {rate: 30/m}
    home: {http: "http://web:8080/", rate: 20/s, ok: 204}
  client: {timeout: 100ms, attempts: 3, other_address: no, deadline: 1s, resolve: per-request}
  outage: {open: 3, close: 1, merge: 50ms}
  judge: write
baseline: 1m
settle: 5s
limits: {nodes_down: 2, protect: [n5]}
seed: 42
duration: 1h
slo: {availability: 99.95%, window: 7d, latency: 300ms}
predict:
  production: {kill: 1 per 45d per node, partition: 2.5 per 365d per cluster}
  parameters: {heartbeat: 60ms, election_timeout: [1s, 2s], misses: 3}
  margin: 2
objectives:
  availability: ">= 95%"
  mttr: {is: "<= 2s", basis: claim}
  mtbf: "> 1h"
  agreement: consistent
abort_if: {unavailable_for: 30s, error_ratio: 50%}
expect_verdict: fail
faults:
  - name: kill-leader
    kill:
    target: leader
    at: 10s
    for: 2s
    overlap: true
    expect: {recovery: "<= 2s", outage: {is: "< 1s", basis: claim}}
"""


def test_every_key_arrives_typed():
    """Units in the value become units in the name."""
    found = parse_experiment(FULL, "full.yaml")
    assert found.cluster.parts == {"data": 5}
    assert found.cluster.settings == {"heartbeat": "50ms", "reads": "local", "cache": "0"}
    assert found.cluster.zones == {"a": ("n1", "n2"), "b": ("n3",)}
    check = DnsCheck(what="role:leader", every_s=0.1, timeout_s=0.05, fall=3, rise=1)
    assert found.cluster.dns == Dns("round-robin", "data", 2.0, ("a", "b"), {"a": 2.0, "b": 1.5}, check)
    assert found.traffic.operations == {
        "write": OperationSpec(100.0), "read": OperationSpec(0.5),
        "home": OperationSpec(20.0, "http", "read", {"what": "http://web:8080/", "ok": "204"}),
    }  # fmt: skip
    assert found.traffic.client == ClientPolicy(0.1, 3, False, 1.0, "per-request")
    assert found.traffic.outage == OutageRule(3, 1, 0.05)
    assert (found.baseline_s, found.settle_s, found.duration_s, found.seed) == (60.0, 5.0, 3600.0, 42)
    assert (found.limits.nodes_down, found.limits.protect) == (2, ("n5",))
    assert found.slo == Slo(0.9995, 7 * 86400.0, 0.3)
    assert found.predict.production == (
        ProductionRate("kill", 1 / (45 * 86400), "node", "1 per 45d per node"),
        ProductionRate("partition", 2.5 / (365 * 86400), "cluster", "2.5 per 365d per cluster"),
    )
    assert found.predict.parameters == {"heartbeat": "60ms", "election_timeout": "1s..2s", "misses": "3"}
    assert found.predict.margin == 2.0
    assert found.objectives == (
        ObjectiveSpec("availability", Bound(">=", 0.95), text=">= 95%"),
        ObjectiveSpec("mttr", Bound("<=", 2.0), basis="claim", text="<= 2s"),
        ObjectiveSpec("mtbf", Bound(">", 3600.0), text="> 1h"),
        ObjectiveSpec("agreement", word="consistent", text="consistent"),
        ObjectiveSpec("recovery", Bound("<=", 2.0), fault="kill-leader", text="<= 2s"),
        ObjectiveSpec("outage", Bound("<", 1.0), basis="claim", fault="kill-leader", text="< 1s"),
    )
    assert found.abort_if == AbortIf(30.0, 0.5)
    assert (found.expect_verdict, found.file) == ("fail", "full.yaml")
    (fault,) = found.faults
    assert fault.overlap
    assert fault.line == FULL.splitlines().index("  - name: kill-leader") + 1


def test_what_is_not_written_has_its_default():
    """The smallest file."""
    found = parse_experiment("experiment: x\nquestion: y\ncluster: {target: z}\ntraffic: {operations: {write: 1/s}}\n", "x.yaml")
    given = Experiment(name="x", question="y", cluster=found.cluster, traffic=found.traffic, file="x.yaml")
    assert found == given
    assert found.cluster.dns == Dns()


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("leader", Role("leader")),
        ("followers", Role("followers")),
        ("any", Role("any")),
        ("n2", Named(("n2",))),
        ("[n1, n2]", Named(("n1", "n2"))),
        ("{any: 2}", Role("any", count=2)),
        ("{followers: 2}", Role("followers", count=2)),
        ("{any: 1, role: followers}", Role("followers", count=1)),
        ("{percent: 40%}", Role("any", percent=0.4)),
        ("majority", Side("majority")),
        ("minority", Side("minority")),
        ("{zone: a}", Zone("a")),
        ("{zone: a, any: 1}", Role("any", count=1, zone="a")),
        ("{part: sentinel, any: 1}", Role("any", count=1, part="sentinel")),
        ("{part: data, role: leader}", Role("leader", part="data")),
        ("{same: kill-leader}", Same("kill-leader")),
        ('{link: "leader -> any"}', LinkTo("leader", "any")),
        ('{link: "leader <-> any"}', LinkTo("leader", "any", both=True)),
        ('{link: "clients->n2"}', LinkTo("clients", "n2")),
        ('{link: "clients -> n2"}', LinkTo("clients", "n2")),
    ],
)
def test_every_selector_is_read(text, selector):
    """The forms of the documentation, a link also without spaces."""
    assert sample_experiment(f"  - pause:\n    target: {text}\n    at: 1s\n    for: 1s").faults[0].target == selector


@pytest.mark.parametrize(
    ("text", "schedule", "times"),
    [
        ("at: 40s", At((40.0,)), None),
        ("at: [10s, 1m]", At((10.0, 60.0)), None),
        ("{every: 15s, times: 2}", Every(15.0), 2),
        ("{every: 15s, exact: true, times: 2}", Every(15.0, exact=True), 2),
        ("{every: {poisson: 15s}, times: 2}", Poisson(15.0), 2),
        ("{every: {renewal: {distribution: weibull, mean: 15s, shape: 2}}, times: 4}", Renewal("weibull", 15.0, shape=2.0), 4),
    ],
)
def test_every_schedule_is_read(text, schedule, times):
    """When, and how often."""
    keys = text[1:-1] if text.startswith("{") else text
    fault = f"  - {{pause: , target: any, for: 1s, {keys}}}"
    spec = sample_experiment(fault).faults[0]
    assert (spec.schedule, spec.times) == (schedule, times)


def test_faults_are_numbered_by_kind_where_nobody_names_them():
    """kill-1, pause-1, kill-2."""
    one = "  - {{{kind}: {{}}, target: any, at: {at}s, for: 1s}}"
    found = sample_experiment("\n".join(one.format(kind=kind, at=at) for kind, at in [("kill", 1), ("pause", 3), ("kill", 5)]))
    assert [fault.name for fault in found.faults] == ["kill-1", "pause-1", "kill-2"]


def test_the_fields_of_a_fault_are_checked_and_kept_in_the_units_of_code():
    """Defaults filled in, so that the plan holds all of it; lists become tuples."""
    text = """\
  - latency: {latency: 50ms, jitter: 5ms, stream: both, toxicity: 50%}
    target: {link: "leader <-> any"}
    at: 1s
    for: 1s
  - partition: {groups: [[n1, n2], [n3]]}
    at: 10s
    for: 1s
  - partition: {include: [peers, clients]}
    target: n3
    at: 30s
    for: 1s
  - bandwidth: {rate: 100KB/s}
    target: {link: "clients -> n1"}
    at: 50s
    for: 1s
  - limit_data: {bytes: 64KB}
    target: {link: "clients -> n1"}
    at: 70s
    for: 1s
"""
    latency, partition, cut_off, bandwidth, limit_data = sample_experiment(text).faults
    assert latency.params == {
        "latency_s": 0.05, "jitter_s": 0.005, "stream": "both", "toxicity": 0.5, "existing": "keep",
        "level": "streams", "distribution": "uniform", "correlation": 0.0, "port": "",
    }  # fmt: skip
    assert partition.params["groups"] == (("n1", "n2"), ("n3",))
    assert cut_off.params["include"] == ("peers", "clients")
    assert bandwidth.params["rate_bytes_per_s"] == 100_000
    assert limit_data.params["bytes_bytes"] == 64_000


def test_the_text_is_kept_as_given(tmp_path):
    """Comments and all; a byte order mark is not part of it."""
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbf# why\nexperiment: x\n")
    assert read_text(file) == "# why\nexperiment: x\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lost_writes: 0", "objectives.lost_writes: nothing could decide 'lost_writes': no data is written and checked"),
        ('lost_writes: ">= 1"', "'>= 1' is not a number of violations (lost_writes: 0, "),
        ("linearizable: false", "'false' is not a number of violations"),
        ('availability: "<= 90%"', 'wrong way round: the better the system, the sooner it fails (availability: ">= 90%"; an experiment'),
        ('success_ratio: "< 99%"', 'success_ratio: "> 99%"'),
        ('mttr: ">= 100ms"', 'mttr: "<= 100ms"'),
        ('mttr: {is: "> 1s", basis: claim}', 'mttr: "< 1s"'),
        ('outage: ">= 1s"', 'outage: "<= 1s"'),
        ('mtbf: "<= 1h"', 'mtbf: ">= 1h"'),
        ('availability: "> 100%"', "can never hold (>= 100%)"),
        ('mttr: "< 0s"', "can never hold (<= 0s)"),
        ('mttr: "== 2s"', "met by chance at most (<= 2s)"),
        ('availability: ">= 101%"', "out of range"),
    ],
)
def test_an_objective_that_nothing_could_decide_is_refused(line, says):
    """Nothing judges it, it stands the wrong way round, or it never holds."""
    with pytest.raises(BadInput) as refused:
        sample_experiment("  - {kill: {}, target: any, at: 1s, for: 1s}", f"objectives: {{{line}}}\n")
    assert says in str(refused.value)
    assert "sample.yaml:9: objectives." in str(refused.value)


@pytest.mark.parametrize("line", ['availability: "== 100%"', 'mttr: "== 0s"', 'outage: "<= 0s"', 'availability: ">= 100%"', 'mtbf: "> 1h"'])
def test_a_bound_the_right_way_round_is_taken(line):
    """The best that can be is a bound as well."""
    sample_experiment("  - {kill: {}, target: any, at: 1s, for: 1s}", f"objectives: {{{line}}}\n")


@pytest.mark.parametrize("measure", ["recovery: '<= 2s'", "agreement: consistent"])
def test_what_speaks_of_faults_needs_one(measure):
    """Nothing could decide it."""
    with pytest.raises(BadInput, match="speaks of faults, and none is planned"):
        sample_plan("  []", f"objectives: {{{measure}}}\n")


@pytest.mark.parametrize(
    ("rate", "says"),
    [
        ("kill: 1000 per 1s per node", "more than one a second"),
        ("kill: 999999999999 per 1s per cluster", "more than one a second"),
        ("kill: " + "9" * 5000 + " per 1s per node", "is not a rate of faults"),
        ("kill: 1 per 1e300s per node", "too big"),
        ("kill: 1 per 1s per node", "strikes a node every 1 s, and it takes 1 s to come back (fewer: at most 1 per 1 s for each)"),
        ("kill: 4 per 1s per cluster", "more than one a second"),
        ("kill: 2 in 1s per node", "more than one a second"),
    ],
)
def test_faults_that_come_faster_than_nodes_come_back_are_no_rate_of_production(rate, says):
    """No model has an answer to that."""
    with pytest.raises(BadInput) as refused:
        sample_plan("  - {kill: {}, target: any, at: 1s, for: 1s}", f"predict: {{production: {{{rate}}}}}\n")
    assert says in str(refused.value)
    assert "predict.production.kill" in str(refused.value)


HOSTILE = [
    ("seed: " + "9" * 5000, "out of range (at most 18 digits)"),
    ("seed: 0x" + "f" * 5000, "whole number"),
    ("experiment: " + "x" * 5000, "is not a name"),
    ("x" * 900 + ": 1", "has 900 characters"),
    ('question: "\\ud800"', "half of a surrogate pair"),
    ('"\\udfff": 1', "half of a surrogate pair"),
    ('question: "a\\0b"', "NUL character"),
    ("baseline: 1e300s", "too big"),
    ("baseline: 1e13s", "too big"),
    ("settle: 1e11s", "would last"),
    ("duration: 31d", "would last"),
    ("baseline: " + "9" * 5000 + "s", "too big"),
    ("baseline: ٣s", "is not a duration"),
    ("predict: {margin: 1e999}", "out of range"),
    ("cluster: {target: sample, resources: {memory: 1e300TB}}", "too big"),
    ("traffic: {operations: {write: 1e300/s}}", "too big"),
    ("seed: !!python/object/apply:os.system [id]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed"),
    ("seed: &a [*a]", "nested deeper"),
    ("seed: &a {b: *a}", "nested deeper"),
]


@pytest.mark.parametrize(("line", "says"), HOSTILE, ids=[says for _, says in HOSTILE])
def test_hostile_values_are_refused_with_their_line(line, says):
    """Never an exception of Python's, never a plan."""
    lines = {key.split(":")[0]: key for key in EXPERIMENT.replace("FAULTS", "  []").splitlines() if not key.startswith(" ")}
    lines["faults"] = "faults: []"
    lines[line.split(":")[0]] = line
    with pytest.raises(BadInput) as refused:
        make_plan(parse_experiment("\n".join(lines.values()) + "\n", "hostile.yaml"), sample_target(), seed=None, runtime="local")
    assert says in str(refused.value)
    assert len(str(refused.value)) < 1500


def test_both_halves_of_a_pair_are_one_character():
    """As JSON writes what lies beyond the first plane."""
    assert "🐒" in parse('a: "\\ud83d\\udc12"\n', "x.yaml").entries["a"].text


def test_an_anchor_may_be_used_again():
    """Plain aliases are fine; only their explosion is not."""
    found = parse_experiment(FULL.replace("duration: 1h", "duration: &hour 1h").replace("window: 7d", "window: *hour"), "x.yaml")
    assert found.slo.window_s == 3600.0


def test_a_path_is_located_by_reading_the_file_again(tmp_path):
    """A default that nobody wrote is placed at the nearest key above it; a file that is gone has no lines."""
    file = tmp_path / "full.yaml"
    file.write_text(FULL, encoding="utf-8")
    assert locate(str(file), "cluster.zones.b").line == 7
    assert locate(str(file), "faults[0].kill.signal").line == FULL.splitlines().index("    kill:") + 1
    assert locate(str(file), "nothing.like.it").line == 1
    assert str(locate("gone.yaml", "cluster.nodes")) == "gone.yaml: cluster.nodes"


class Inner(msgspec.Struct, frozen=True):
    """A struct inside another."""

    size_bytes: units.Bytes


class Sample(msgspec.Struct, frozen=True):
    """Every kind of field that a plug-in may declare."""

    wait_s: units.Seconds
    back_s: units.SignedSeconds = 0.0
    rate_per_s: units.PerSecond = 1.0
    share: units.Ratio = 1.0
    speed_bytes_per_s: units.BytesPerSecond = 1.0
    times_s: tuple[units.Seconds, ...] = ()
    perhaps_s: units.Seconds | None = None
    count: Annotated[int, msgspec.Meta(ge=1, lt=10)] = 1
    factor: float = 1.0
    word: Literal["a", "b"] = "a"
    flag: bool = False
    free: str | int | float | bool = ""
    names: list[str] = []
    inner: Inner | None = None
    table: dict[str, int] = {}

    def __post_init__(self) -> None:
        if self.back_s > self.wait_s:
            raise ValueError("back is longer than wait")


def read(text: str) -> Sample:
    """That struct from YAML."""
    return table(Sample).read(parse(text, "s.yaml"))


def test_every_kind_of_field_is_converted():
    """Keys are the names less their unit."""
    found = read(
        "{wait: 250ms, back: -1s, rate: 30/m, share: 5%, speed: 1KB/s, times: [1s, 2s], perhaps: , count: 9, factor: 2, word: b,"
        " flag: true, free: 7, names: [x], inner: {size: 1KiB}, table: {a: 1}}"
    )
    assert found == Sample(0.25, -1.0, 0.5, 0.05, 1000.0, (1.0, 2.0), None, 9, 2.0, "b", True, 7, ["x"], Inner(1024), {"a": 1})
    assert [read(f"{{wait: 1s, free: {text}}}").free for text in ("x", "1.5", "true", '"7"', '""')] == ["x", 1.5, True, "7", ""]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "s.yaml:1: the key 'wait' is missing (write it like 250ms, 3s, 2m, 1h)"),
        ("{wait_s: 1s}", "s.yaml:1: wait_s: unknown key 'wait_s' (did you mean 'wait'?)"),
        ("{wait: -1s}", "s.yaml:1: wait: '-1s' is out of range (at least 0s)"),
        ("{wait: [1s]}", "s.yaml:1: wait: a list stands where a duration belongs (write it like 250ms, 3s, 2m, 1h)"),
        ("{wait: 1s, times: 1s}", "s.yaml:1: times: '1s' stands where a list belongs (write it like [a, b])"),
        ("{wait: 1s, times: [1s, 2]}", "s.yaml:1: times[1]: '2' has no unit of time (write it like 250ms, 3s, 2m, 1h)"),
        ("{wait: 1s, perhaps: 3}", "s.yaml:1: perhaps: '3' has no unit of time (write it like 250ms, 3s, 2m, 1h)"),
        ("{wait: 1s, rate: 0/s}", "s.yaml:1: rate: '0/s' is out of range (more than 0/s)"),
        ("{wait: 1s, share: 101%}", "s.yaml:1: share: '101%' is out of range (at most 100%)"),
        ("{wait: 1s, count: 0}", "s.yaml:1: count: '0' is out of range (at least 1)"),
        ("{wait: 1s, count: 10}", "s.yaml:1: count: '10' is out of range (less than 10)"),
        ("{wait: 1s, count: 1.5}", "s.yaml:1: count: '1.5' stands where a whole number belongs (write it like 3, without a unit)"),
        ("{wait: 1s, count: 1:30}", "s.yaml:1: count: '1:30' stands where a whole number belongs (write it like 3, without a unit)"),
        ("{wait: 1s, factor: .inf}", "s.yaml:1: factor: '.inf' stands where a number belongs (write it like 1.5, without a unit)"),
        ("{wait: 1s, flag: 1}", "s.yaml:1: flag: '1' stands where true or false belongs (write it as true or false)"),
        ("{wait: 1s, names: [[x]]}", "s.yaml:1: names[0]: a list stands where a text belongs"),
        ("{wait: 1s, names: [~]}", "s.yaml:1: names[0]: nothing stands where a text belongs"),
        ("{wait: 1s, word: c}", "s.yaml:1: word: 'c' is not a choice here (one of: a, b)"),
        ("{wait: 1s, inner: {size: 512}}", "s.yaml:1: inner.size: '512' is not a size (write it like 512MB)"),
        ("{wait: 1s, back: 2s}", "s.yaml:1: back is longer than wait"),
    ],
)
def test_a_wrong_field_is_told_with_its_place(text, says):
    """Found, and right."""
    with pytest.raises(BadInput) as refused:
        read(text)
    assert str(refused.value) == says


def test_the_structs_of_the_experiment_can_all_be_converted():
    """No field of the experiment has a type that the converter does not know."""
    for cls in (Dns, ClientPolicy, OutageRule, Slo, AbortIf, DnsCheck, Renewal):
        keys = "{distribution: uniform, mean: 1s}" if cls is Renewal else "{}"
        assert isinstance(table(cls).read(parse(keys, "s.yaml")), cls)


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_shipped_experiment_loads(file):
    """One question each, answered by a name of its own."""
    found = load_experiment(file)
    assert found.name == file.stem
    assert found.question.endswith("?")
