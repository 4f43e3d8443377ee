"""Finding a target's folder, reading its file, and what is wrong in one."""

from __future__ import annotations

import pytest

from chaos.core.errors import BadInput
from chaos.experiment.target.load import known_targets, load_target, search_path
from chaos.experiment.target.operation import OperationKind
from chaos.experiment.target.spec import Ask, Setting
from tests.support.paths import ROOT
from tests.support.samples import TARGET, sample_target


def test_every_key_arrives_typed():
    """The sample, as the runtimes will see it."""
    found = sample_target(TARGET + 'read_node: {driver: ["{python}", "a b", "{client}"]}\npid1: true\nabout: A sample\n')
    status = "http://{address}:{client}/status"
    assert found.settings["reads"] == Setting(default="quorum", choices=("quorum", "local"))
    assert found.settings["cache"].default == 64
    part = found.parts["data"]
    assert part.ports == {"client": 7000, "peer": 7001}
    assert (part.ready.within_s, part.ready.http, part.nodes.max) == (10.0, status, 9)
    assert found.roles == {"leader": Ask(http=status, json="state=leader"), "voting": Ask(http=status, json="ready")}
    put = {"what": "PUT http://{address}:{client}/kv/{key}", "body": "{value}"}
    assert found.operations["write"] == OperationKind("http", "write", put)
    assert found.read_node == OperationKind("driver", "read", {"what": "'{python}' 'a b' '{client}'"})
    assert found.model["election_timeout"] == "150ms..300ms"
    assert (found.local.peers, found.pid1, found.about) == ("per-node", True, "A sample")


def test_marks_and_pings_are_read():
    """Moments a node stamps itself, and how a port is asked."""
    found = sample_target(TARGET + 'marks: {ask: {http: "http://{address}:{client}/status"}, values: {leader_elected: raft.elected_ns}}\n')
    assert found.parts["data"].ping == {"peer": Ask(http="http://{peer_address}:{peer}/status")}
    assert found.marks == {"leader_elected": "raft.elected_ns"}
    assert found.marks_ask == Ask(http="http://{address}:{client}/status")


def test_detectors_are_read_and_each_must_name_the_other_node():
    """Which expression holds while a node suspects another one."""
    ask = 'detectors: {ask: {http: "http://{address}:{client}/status"}, suspects: {beats: "%s"}}\n'
    found = sample_target(TARGET + ask % "peers.{other}.alive=false")
    assert found.detectors == {"beats": "peers.{other}.alive=false"}
    assert found.detectors_ask == Ask(http="http://{address}:{client}/status")
    with pytest.raises(BadInput, match=r"detectors.suspects.beats: the detector 'beats' does not say of which node: there is no \{other\}"):
        sample_target(TARGET + ask % "peers.alive=false")
    with pytest.raises(BadInput, match=r"detectors.suspects.beats: 'peers.\{other\} = ' has nothing to compare|is not an expression"):
        sample_target(TARGET + ask % "= {other}")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("schema: 1", "schema: 2", "target.yaml:1: schema: this version of Nines reads schema 1 (schema: 1)"),
        ("pid1", "pid1", ""),
        ("target: sample\n", "", "target.yaml:1: the key 'target' is missing (write it like target: etcd)"),
        ("operations:", "operation:", "operation: unknown key 'operation' (did you mean 'operations'?)"),
        ("    ports: {client: 7000, peer: 7001}\n", "", "parts.data: the key 'ports' is missing"),
        ("client: 7000", "client: 70000", "parts.data.ports.client: port 70000 does not exist (1 to 65535)"),
        ("client: 7000, peer", "clients: 7000, peer", "there is no port 'client' for clients (client_port: the name of a port)"),
        ("min: 1, max: 9", "min: 5, max: 9", "parts.data.nodes: nodes must be min <= default <= max"),
        ("cache:", "address:", "the name 'address' is taken already (another name)"),
        ("cache:", "peer:", "the name 'peer' is taken already (another name)"),
        ("  data:", "  data a:", "parts.data a: 'data a' is not the name of a part"),
        ("  data:", "  " + "d" * 64 + ":", "is not the name of a part (letters, digits, '-' and '_', at most 40"),
        ("choices: [quorum, local]", "choices: [local]", "settings.reads: the default is not one of the choices"),
        (
            '"{node}", "{address}"',
            '"{nod}", "{address}"',
            "parts.data.local.command[2]: unknown name '{nod}' in '{nod}' (did you mean 'node'?)",
        ),
        ('/kv/{key}", body', '/kv/{ky}", body', "target.yaml:18: operations.write.http: unknown word '{ky}'"),
        ('{http: "PUT', '{htp: "PUT', "operations.write: no probe in this operation (exactly one of: driver, etcd, http, tcp)"),
        ('{http: "PUT', '{redis: "PUT', "operations.write.redis: the probe 'redis' is not supported yet"),
        ("does: write", "dos: write", "operations.write: the key 'does' is missing (write it like does: read)"),
        ("does: write", "does: writes", "operations.write.does: 'writes' is not a choice here (did you mean 'write'?)"),
        ("voting: ready", "voting: redy", "roles.voting: 'redy' is not a question"),
        (
            'json: "state=leader"',
            'json: "state=leader", tcp: "{address}:{client}"',
            "roles.leader: a question is asked by 'http' or by 'tcp'",
        ),
        ('json: "state=leader"', 'send: "PING"', "roles.leader: 'send' and 'expect' are of 'tcp' (body, status and json)"),
        (
            '{http: "http://{address}:{client}/status", json: "state=leader"}',
            '{tcp: "{address}:{client}", send: "PING"}',
            "roles.leader: 'send' without 'expect': what would show that it answered? (expect: a text)",
        ),
        ('json: "state=leader"', 'jsn: "state=leader"', "roles.leader.jsn: unknown key 'jsn' (did you mean 'json'?)"),
        ("leaderless: hang", "leaderless: wait", "model.leaderless: 'wait' is not a choice here (one of: refuse, hang, resend)"),
        ("restart: 1s", "restart: 1", "model.restart: '1' has no unit of time"),
        ("restart: 1s", "restrt: 1s", "model.restrt: unknown parameter 'restrt' (did you mean 'restart'?)"),
        ("[150ms, 300ms]", "[300ms, 150ms]", "model.election_timeout: the range '300ms..150ms' ends before it begins ([low, high])"),
        ("[150ms, 300ms]", "[1ms, 2ms, 3ms]", "model.election_timeout: a range has two ends ([150ms, 300ms])"),
        ('heartbeat: "{heartbeat}"', 'heartbeat: "{heartbeet}"', "model.heartbeat: unknown name '{heartbeet}'"),
        ("peers: per-node", "peers: shared", "local.peers: 'shared' is not a choice here (one of: per-node)"),
    ],
)
def test_a_wrong_target_is_told_with_its_place(old, new, says):
    """Line and path, found and right; every template is tried with the defaults."""
    if not says:
        assert sample_target().pid1 is False
        return
    assert TARGET.count(old) >= 1
    with pytest.raises(BadInput) as refused:
        sample_target(TARGET.replace(old, new, 1))
    assert says in str(refused.value)
    assert str(refused.value).startswith("target.yaml:")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A current folder with a target ``here`` in ./targets, and one ``far`` in a folder of its own."""
    for folder, name in (("targets/here", "here"), ("elsewhere/far", "far")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "target.yaml").write_text(TARGET.replace("target: sample", f"target: {name}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NINES_TARGETS", raising=False)
    return tmp_path


@pytest.mark.parametrize("path", ["/etc/profile", "../n2/config", "conf/../../x", "..", "."])
def test_a_target_s_files_stay_in_the_node_s_folder(path: str):
    """Refused when it is loaded, with the line; a path inside is not."""
    sample_target(TARGET.replace("    ready:", '    files: {"conf/a..b.yaml": "x"}\n    ready:'))
    with pytest.raises(BadInput, match=r"target\.yaml:\d+: parts\.data\.files.* would not lie in the node's folder"):
        sample_target(TARGET.replace("    ready:", f'    files: {{"{path}": "x"}}\n    ready:'))


def test_a_target_is_found_by_name_by_path_and_beside_the_experiment(shelf, monkeypatch):
    """./targets, a path from here, a path from the experiment's folder, its file, and NINES_TARGETS."""
    assert load_target("here").name == "here"
    assert load_target("elsewhere/far").folder == str(shelf / "elsewhere" / "far")
    assert load_target("./far", beside=shelf / "elsewhere").name == "far"
    assert load_target("far", beside=shelf / "elsewhere").name == "far"
    assert load_target("elsewhere/far/target.yaml").name == "far"
    assert load_target(str(shelf / "elsewhere" / "far")).name == "far"
    monkeypatch.setenv("NINES_TARGETS", str(shelf / "elsewhere"))
    assert load_target("far").name == "far"
    assert shelf / "elsewhere" in search_path()


def test_a_target_that_is_not_there_is_told(shelf):
    """By name with the nearest one, by path with what was looked for."""
    with pytest.raises(BadInput, match=r"unknown target 'here2' \(did you mean 'here'\?\)"):
        load_target("here2")
    with pytest.raises(BadInput, match=r"there is no target.yaml in './nowhere'"):
        load_target("./nowhere")


def test_the_shipped_targets_load(monkeypatch):
    """All of them, with a leader or none, and something to ask."""
    monkeypatch.chdir(ROOT)
    found = {target.name: target for target in known_targets()}
    assert "replicated_kv" in found
    for target in found.values():
        assert target.operations
        assert target.about
