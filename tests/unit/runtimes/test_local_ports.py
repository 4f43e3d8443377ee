"""Which block of loopback addresses a run may have: one that nobody holds, wherever the others keep their state."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from chaos.runtimes.local.layout import DNS_PORT, LocalLayout
from chaos.runtimes.local.ports import Hold
from tests.support.echo_deployment import echo_deployment, echo_plan

BLOCK = 63
"""No run takes it: they begin at 64."""


@pytest.fixture
def layout(tmp_path: Path) -> LocalLayout:
    """The addresses of a run on that block."""
    return LocalLayout(echo_deployment(tmp_path, echo_plan("local")), BLOCK)


def test_a_block_is_held_by_one_run_until_it_ends(layout: LocalLayout) -> None:
    """Before anything of that run listens, so that two which start together do not meet."""
    with Hold() as first:
        assert first.unusable(layout) == ""
        with Hold() as second:
            assert second.unusable(layout) == f"127.{BLOCK}.0.1:8052 is taken"
    with Hold() as second:
        assert second.unusable(layout) == ""


def test_a_block_where_somebody_listens_is_not_held(layout: LocalLayout) -> None:
    """Whoever comes next is told the same, and may have it once nobody listens."""
    with Hold() as hold:
        with socket.create_server((layout.dns_address, DNS_PORT)):
            for _ in range(2):
                assert hold.unusable(layout) == f"{layout.dns_address}:{DNS_PORT} is taken"
        assert hold.unusable(layout) == ""
