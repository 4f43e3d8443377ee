"""The part of the agent that cuts a whole machine: which devices lead out of it, and what it tells the kernel."""

from __future__ import annotations

from chaos.agent.agent_parts.machine import leading_out, script

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010AA8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
cni0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
flannel.1\t0002F40A\t0002F40A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t000AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_what_leads_out_has_a_gateway() -> None:
    """Not the bridge of the machine's own pods: what they say to each other stays there."""
    assert leading_out(ROUTES) == ["eth0", "flannel.1"]
    assert leading_out(ROUTES.splitlines()[0]) == []


def test_a_cut_ends_by_itself_and_leaves_one_port_open() -> None:
    text = script(["eth0", "flannel.1"], 10250, 15.0)
    assert 'add element inet nines_host cut { "eth0" timeout 15000ms, "flannel.1" timeout 15000ms }' in text
    lines = text.splitlines()
    for chain, port in (("in iifname", "dport"), ("out oifname", "sport")):
        opened = lines.index(f"add rule inet nines_host {chain} @cut tcp {port} 10250 accept")
        assert lines[opened + 1] == f"add rule inet nines_host {chain} @cut counter drop"
