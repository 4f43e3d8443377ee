"""Tests on engines that are not here, or not Docker: ``make test-engines``. They start one for themselves, and need root for that."""

from __future__ import annotations

import pytest

HERE = "tests/engines/"
LIMIT_S = 600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """None of them belongs to the core suite."""
    for item in items:
        if item.nodeid.startswith(HERE):
            item.add_marker("engines")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(LIMIT_S))
