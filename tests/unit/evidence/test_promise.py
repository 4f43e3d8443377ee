"""What ``nines plan`` promises of regressions: from the prediction, and from the history once there is one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from chaos.api import order_text
from chaos.evidence.promise import REFERENCE, promises
from chaos.evidence.store import Store
from chaos.report.pages.promise import render
from tests.support.kept import kept
from tests.support.quick import QUICK


def test_from_the_prediction_then_from_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An election spreads by a quarter: a handful of faults; outages that spread as exponential ones do need many more."""
    plan = order_text(QUICK, Path("quick.yaml")).plan
    (first,) = promises(plan)
    assert (first.fault_class, first.planned, first.earlier, first.measured) == ("kill/leader", 2, REFERENCE, False)
    assert first.finds is not None
    assert 2 <= first.finds <= 12
    monkeypatch.setenv("NINES_HISTORY", str(tmp_path / "history.db"))
    outages = np.random.default_rng(3).exponential(0.8, 200)
    with Store(tmp_path / "history.db", create=True) as store:
        store.record(*kept(1, outages.tolist(), configuration=plan.configuration))
    (then,) = promises(plan)
    assert (then.earlier, then.measured) == (200, True)
    assert then.finds is None or then.finds > 3 * first.finds
    assert "as measured" in render([then])
    assert "this plan has 2" in render([first])
    assert render([]) == ""


def test_nothing_is_promised_of_what_nobody_knows() -> None:
    """No fault, no promise."""
    plan = order_text(QUICK, Path("quick.yaml"), faults=False).plan
    assert promises(msgspec.structs.replace(plan, windows=())) == []
