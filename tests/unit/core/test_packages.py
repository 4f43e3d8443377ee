"""Client libraries: found with their version, or named with the line that installs them."""

from __future__ import annotations

import importlib.metadata

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.core.packages import versions_of


def test_those_that_are_here() -> None:
    """As pip writes a requirement."""
    assert versions_of(["msgspec"]) == [f"msgspec=={importlib.metadata.version('msgspec')}"]


def test_those_that_are_not() -> None:
    """All of them at once."""
    with pytest.raises(EnvironmentUnusable) as refusal:
        versions_of(["msgspec", "no-such-client", "nor-this-one"])
    assert "packages no-such-client, nor-this-one" in refusal.value.what
    assert refusal.value.how == "pip install no-such-client nor-this-one"
