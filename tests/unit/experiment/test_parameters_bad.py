"""Parameters of the models outside their domain are refused where they are read, each with what would be right."""

from __future__ import annotations

import pytest

from chaos.core.errors import BadInput
from chaos.experiment import parameters


@pytest.mark.parametrize(
    ("key", "text", "right"),
    [("heartbeat", "0ms", "above 0"), ("heartbeat", "-1ms", "above 0"), ("heartbeat", "100", "250ms"), ("crews", "0", "1, 2, 3"),
     ("crews", "1.5", "1, 2, 3"), ("misses", "nan", "1, 2, 3"), ("misses", "inf", "1, 2, 3"), ("common_cause", "1", "below 1"),
     ("common_cause", "nan", "at least 0"), ("coverage", "101%", "0% to 100%"),
     ("coverage", "most", "99%"), ("reset", "0s", "above 0"), ("stopping", "vanish", "one of"),
     ("restart", "2s..1s", "low, high"), ("leaderless", "wait", "one of")],
)  # fmt: skip
def test_refused(key: str, text: str, right: str) -> None:
    """Zero beats, half a crew, a share of one, a number without a unit, NaN."""
    with pytest.raises(BadInput) as refused:
        parameters.read(key, text)
    assert right in f"{refused.value}"


@pytest.mark.parametrize(
    ("key", "text", "low"),
    [("restart", "0s", 0.0), ("crews", "2", 2.0), ("common_cause", "0.05", 0.05), ("coverage", "99%", 0.99), ("misses", "1", 1.0)],
)
def test_taken(key: str, text: str, low: float) -> None:
    """What lies inside."""
    assert parameters.read(key, text).low == low
