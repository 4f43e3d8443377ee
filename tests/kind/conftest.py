"""Tests on a real cluster of kind, which is built and started for them: ``make test-kind``. Root, Go for the first build, minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.needs import need
from tools.kind import cluster as kinds
from tools.kind.cluster import Kind

HERE = "tests/kind/"
LIMIT_S = 900.0
HOW = "root, Docker's command, and Go for a first build: https://go.dev/dl"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of them belongs to the core suite."""
    for item in items:
        if item.nodeid.startswith(HERE):
            item.add_marker("kubernetes")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def kind() -> Iterator[Kind]:
    """An engine with kind's node image. No cluster yet: the how-to creates it."""
    need("a cluster of kind", kinds.may(), HOW)
    with kinds.prepared(lambda text: print(text, file=sys.stderr)) as found:
        yield found
