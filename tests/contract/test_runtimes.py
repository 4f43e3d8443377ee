"""The contract of runtimes, asserted of each in turn: ``fake`` in virtual time, ``local`` with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.core import plugins
from chaos.core.values import Link
from chaos.plan.capabilities import loaded
from chaos.plugin import Deployment
from chaos.testing.runtimes import RuntimeContract, RuntimeStage
from tests.support.echo_deployment import echo_deployment, echo_plan, need_toxiproxy


class TestEveryRuntime(RuntimeContract):
    """What is shipped and needs no engine."""

    @pytest.fixture(params=[each.name for each in loaded() if each.attached is None])
    def stage(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RuntimeStage:
        """Each runtime, with a registry of its own."""
        monkeypatch.setenv("NINES_STATE", str(tmp_path / "state"))
        runtime = plugins.find("runtimes", request.param)()

        def deployment(folder: Path, links: tuple[Link, ...]) -> Deployment:
            if links and not runtime.virtual:
                need_toxiproxy()
            return echo_deployment(folder, echo_plan(runtime.name, links))

        return RuntimeStage(runtime, tmp_path / f"contract-{request.param}-{tmp_path.name}", deployment)
