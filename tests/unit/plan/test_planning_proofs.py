"""Every kind of fault on targets that lack something: what validates can be proven, what cannot be is refused with what to add."""

from __future__ import annotations

import pytest

from chaos.core import plugins as tables
from chaos.core.errors import BadInput, CapabilityMissing
from chaos.experiment.target.spec import Target
from chaos.plan.plan import Plan
from tests.support.samples import sample_plan, sample_target

HTTP = "http://{address}:{client}/"
BASE = """\
schema: 1
target: lacking
parts:
  data:
    nodes: {default: 3, min: 2, max: 9}
    ports: PORTS
    local: {command: [serve, "{client}"]}
    docker: {image: x, command: [serve, "{client}"]}
    ready: READY
    ping: PING
operations:
  write: {http: "GET http://{address}:{client}/", does: write}
local: {peers: per-node}
"""
TARGETS = {
    "no peer port": ("{client: 1}", '{http: "http://{address}:{client}/"}', '{client: {http: "http://{address}:{client}/"}}'),
    "no ping at all": ("{client: 1}", '{http: "http://{address}:{client}/"}', "{}"),
    "no question for peers": ("{client: 1, peer: 2}", '{http: "http://{address}:{client}/"}', "{}"),
    "no question for clients": ("{client: 1, admin: 2}", '{http: "http://{address}:{admin}/"}', "{}"),
    "only connects": ("{client: 1}", '{tcp: "{address}:{client}"}', "{}"),
}
FIELDS = {
    "latency": "{delay: 5ms}", "bandwidth": "{rate: 10KB/s}", "limit_data": "{bytes: 1KB}", "slicer": "{}", "clock": "{offset: 1h}",
    "dns": "{mode: down}", "load": "{rate: 10/s}", "connections": "{count: 10}", "files": "{leave: 3}", "memory": "{percent: 50%}",
    "loss": "{percent: 50%}", "corrupt": "{percent: 50%}", "duplicate": "{percent: 50%}", "reorder": "{percent: 50%}",
}  # fmt: skip
WHOM = ("n1", '{link: "clients -> n1"}', '{link: "n1 -> n2"}', "")


def lacking(name: str) -> Target:
    ports, ready, ping = TARGETS[name]
    return sample_target(BASE.replace("PORTS", ports).replace("READY", ready).replace("PING", ping))


def planned(kind: str, whom: str, target: Target, runtime: str) -> Plan | str:
    """The plan, or why there is none."""
    to = f", target: {whom}" if whom else ""
    try:
        return sample_plan(f"  - {{{kind}: {FIELDS.get(kind, '{}')}{to}, at: 1s, for: 2s}}", target=target, runtime=runtime)
    except CapabilityMissing as missing:
        assert str(missing).startswith("sample.yaml:7: ")
        return "capability"
    except BadInput as refusal:
        assert str(refusal).startswith(("sample.yaml:", "sample.yaml: faults[0]"))
        return str(refusal)


def provable(kind: str, whom: str, target: Target, runtime: str) -> bool:
    """By hand: what has to be asked is there."""
    part = target.parts["data"]
    if part.question("client") is None:
        return False  # the target has no roles, so settling asks every node there
    port = "peer" if whom == '{link: "n1 -> n2"}' and "peer" in part.ports else "client"
    question = part.question(port)
    bare = question is not None and question.tcp is not None and question.expect is None
    return question is not None and not (bare and (kind == "pause" or (runtime == "local" and "link" in whom)))


@pytest.mark.parametrize("runtime", ["local", "docker"])
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", sorted(tables.FAULTS))
def test_every_kind_is_proven_or_refused_before_the_run(kind: str, name: str, runtime: str) -> None:
    """On each runtime, to whomever it can be done."""
    target = lacking(name)
    for whom in WHOM:
        found = planned(kind, whom, target, runtime)
        if isinstance(found, str) and "cannot be seen" not in found:
            continue  # it cannot be done to them, or not on this runtime: another matter
        if not tables.find("faults", kind).pings or not whom:
            assert isinstance(found, Plan) or target.parts["data"].question("client") is None
        elif isinstance(found, str):
            assert "add to" in found
            assert "parts.data.ping: {" in found
        else:
            assert provable(kind, whom, target, runtime), f"{kind} on {whom} could never be proven"


def test_power_off_needs_no_port_of_peers() -> None:
    """What peers say to a part without one goes to the port of clients, and so does the question that proves the silence."""
    plan = planned("power_off", "n1", lacking("no peer port"), "docker")
    assert isinstance(plan, Plan)
    assert lacking("no peer port").parts["data"].port_for(peers=True) == "client"


def test_what_would_prove_it_is_named() -> None:
    """With the file, the line and the words to add."""
    assert planned("power_off", "n1", lacking("no question for peers"), "docker") == (
        "sample.yaml: faults[0]: that 'power_off' takes effect and goes cannot be seen on 'lacking': part 'data' has no question for its "
        "port 'peer' (add to the target.yaml: parts.data.ping: {peer: {http: \"http://{address}:{peer}/...\"}})"
    )
