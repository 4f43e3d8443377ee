"""What of a run goes into the prediction that is held against it: never what the run itself has shown of a repair."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from chaos import api
from chaos.judge.model_inputs import _held_s
from chaos.measure.faults import FaultRecord
from tests.support.quick import QUICK


@pytest.mark.parametrize(
    ("healed_s", "gone_s", "held_s"), [(9.0, None, 7.0), (None, 31.0, 1.5), (None, None, math.inf)], ids=["healed", "gone", "left"]
)
def test_how_long_a_fault_was_held(tmp_path: Path, healed_s: float | None, gone_s: float | None, held_s: float) -> None:
    """What we ended ourselves, to the second; what went by itself, for as long as was planned; what never ended, without an end."""
    text = QUICK[: QUICK.index("faults:")] + "faults:\n  - {name: dark, kill: {}, target: any, at: [1s], for: 1500ms}\n"
    plan = api.order_text(text, tmp_path / "dark.yaml").plan
    fault = FaultRecord(
        "dark.1", "dark", "kill", "kill/node", ("n1",), "healed", "", effective_s=2.0, healed_s=healed_s, gone_s=gone_s
    )  # fmt: skip
    assert _held_s(plan, fault) == held_s
