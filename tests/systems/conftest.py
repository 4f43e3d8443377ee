"""Systems that people run, each experiment of theirs in full: ``make test-systems``. Half an hour, outside of CI."""

from __future__ import annotations

import pytest

from tests.docker.conftest import docker_host  # noqa: F401 - a fixture

HERE = "tests/systems/"
LIMIT_S = 900.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of them belongs to the core suite."""
    for item in items:
        if item.nodeid.startswith(HERE):
            item.add_marker("systems")
            item.add_marker(pytest.mark.timeout(LIMIT_S))
