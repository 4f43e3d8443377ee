"""A violation of data outlives a failed assumption; a figure of time does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chaos.judge.judge import MISSED, UNKNOWN, decide
from chaos.results.data import Data, DataCheck
from chaos.results.observed import Estimate
from chaos.results.verdict import Check, Objective

LATE = Check("slots sent in time", "fail", "3 % of the requests are missing")
LOST = Objective("lost_writes", "0", "run", Estimate(value=2.0, n=900, method="counted"), "fail")
SLOW = Objective("mttr", "<= 1s", "run", Estimate(value=4.0, n=3), "fail")
SEEN: Any = SimpleNamespace(ended=None, aborting=[], traffic=None)


def _data() -> Data:
    check = DataCheck("lost_writes", "violated", 2, 900, "acknowledged writes", "2 acknowledged writes are gone")
    return Data("register", 20, 8, 1800, {"ok": 1800}, 900, 900, True, "", [check])


@pytest.mark.parametrize(("held", "code"), [([LOST], MISSED), ([SLOW, LOST], MISSED), ([SLOW], UNKNOWN)])
def test_what_was_acknowledged_and_is_gone_is_gone(held: list[Objective], code: int) -> None:
    """However busy the machine was. The figures that the assumption was about do not count, and the reasons say so."""
    found, reasons = decide(SEEN, [LATE], held, _data())
    assert found == code
    if code == MISSED:
        assert "lost_writes" in reasons[0]
        assert any(reason.startswith("no other figure of this run counts:") for reason in reasons)
        assert not any("mttr" in reason.lower() for reason in reasons)
