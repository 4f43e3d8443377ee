"""What a run says whose image of Nines has not what the target's clients import."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos.api import order_text
from chaos.core.errors import EnvironmentUnusable
from chaos.runtimes.base.libraries import require_in_image

EXPERIMENT = """
experiment: driven
question: Which packages are missing?
cluster: {target: redis_sentinel, parts: {data: 3, sentinel: 3}, dns: {part: data, balancer: round-robin}}
traffic: {operations: {write: 10/s}}
"""


@pytest.mark.parametrize(("missing", "words"), [(["nobody-has-this"], "package nobody-has-this"), (["n1", "n2"], "packages n1, n2")])
def test_packages_are_named_with_the_command_that_brings_them(tmp_path: Path, missing: list[str], words: str) -> None:
    ordered = order_text(EXPERIMENT, tmp_path / "driven.yaml", runtime="kubernetes")
    target = msgspec.structs.replace(ordered.target, libraries=("msgspec", *missing))
    with pytest.raises(EnvironmentUnusable) as caught:
        require_in_image(target, ordered.plan)
    assert caught.value.what == f"the image of Nines in the cluster lacks packages: the target's clients need the Python {words}"
    assert caught.value.how.startswith("nines image --for redis_sentinel,")
    require_in_image(msgspec.structs.replace(ordered.target, libraries=("msgspec",)), ordered.plan)
