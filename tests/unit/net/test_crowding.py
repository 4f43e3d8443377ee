"""A proxy before a server that hangs: as many connections may come as its listen queue holds, or the run is refused."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaos.agent.agent_parts import listening
from chaos.core.errors import CapabilityMissing
from chaos.net.crowding import crowds, refuse_short_queues
from chaos.plugin import Deployment
from tests.support.samples import sample_plan, sample_target

PAUSE = "  - name: hung\n    pause: {}\n    target: n1\n    at: 6s\n    for: 2s\n"
CUT = "  - name: cut\n    partition: {include: [clients]}\n    target: n1\n    at: 20s\n    for: 2s\n"


def found(faults: str) -> list[tuple[str, str, int]]:
    deployment = Deployment(run="r", folder=Path("r"), plan=sample_plan(faults, runtime="local"), target=sample_target())
    return [(crowd.node, crowd.fault.name, crowd.arrivals) for crowd in crowds(deployment)]


def test_only_a_node_that_hangs_behind_a_proxy() -> None:
    """Without the cut no proxy stands there; a cut alone makes nobody hang."""
    assert found(PAUSE) == found(CUT) == []
    assert [crowd[:2] for crowd in found(PAUSE + CUT)] == [("n1", "hung")]
    assert found(PAUSE.replace("n1", "n2") + CUT) == []


def test_as_many_as_attempts_go_to_it_until_the_name_leaves_it_out() -> None:
    """Their rate is shared by the nodes behind the name, and each may be asked twice: for as long as it hangs and stands in the name."""
    plan = sample_plan(PAUSE + CUT, runtime="local")
    traffic, dns = plan.experiment.traffic, plan.experiment.cluster.dns
    rate_per_s = sum(each.rate_per_s for each in traffic.operations.values()) * traffic.client.attempts / len(plan.nodes)
    listed_s = dns.check.fall * (dns.check.every_s + dns.check.timeout_s) + dns.ttl_s
    ((_, _, arrivals),) = found(PAUSE + CUT)
    assert arrivals == pytest.approx(rate_per_s * min(2.0, listed_s), abs=1)


@pytest.mark.parametrize(("length", "refused"), [(0, True), (5, True), (1024, False), (None, False)])
def test_a_queue_that_would_overflow_is_refused(length: int | None, refused: bool) -> None:
    """With its length, what may come, the fault, and what helps; one that nobody can tell is let be."""
    deployment = Deployment(run="r", folder=Path("r"), plan=sample_plan(PAUSE + CUT, runtime="local"), target=sample_target())
    if not refused:
        refuse_short_queues(crowds(deployment), lambda _node: length)
        return
    with pytest.raises(CapabilityMissing, match=f"n1 has a listen queue of {length} connections, and up to .* 'hung'") as error:
        refuse_short_queues(crowds(deployment), lambda _node: length)
    assert "listen(2)" in error.value.how


def over_ipv6(address: str, backlog: int) -> socket.socket:
    """A listening socket; skipped on a machine without IPv6."""
    try:
        return socket.create_server((address, 0), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=address == "::")
    except (OSError, ValueError) as error:
        pytest.skip(f"no IPv6 here: {error}")


def test_the_kernel_tells_how_long_a_queue_is() -> None:
    """Of a socket on one address, and of one on all of them, IPv6 included; nobody listens elsewhere."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=7) as one,
        over_ipv6("::", 9) as every,
    ):  # fmt: skip
        seen = listening.queues()
        ports = [each.getsockname()[1] for each in (one, every)]
    assert [listening.queue_of(seen, "127.0.0.1", port) for port in (*ports, 1)] == [7, 9, None]
    assert listening.queue_of(seen, "127.0.0.2", ports[0]) is None


def test_an_agents_word_is_read_as_it_was_meant() -> None:
    """Addresses and ports, IPv6 too."""
    with over_ipv6("::1", 3) as server:
        seen = listening.read(listening.do_queues(None, {})["result"])
        assert listening.queue_of(seen, "::1", server.getsockname()[1]) == 3
