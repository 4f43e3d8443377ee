"""What a container of a pod may use at most, as the API server says it: pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from chaos.core.values import Allowed
from chaos.kube.api import Thing

_QUANTITY: Final = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei))?")
_UNITS: Final = {
    "m": Decimal("0.001"), **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}  # fmt: skip


def quantity(text: str) -> Decimal:
    """``500m`` is 0.5, ``64Mi`` 67108864 (kubernetes.io, "Quantity"); ``ValueError`` for what is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no quantity")
    number, exponent, unit = found.groups()
    return Decimal(number) * Decimal(10) ** int(exponent or 0) * _UNITS.get(unit or "", Decimal(1))


def allowed(thing: Thing, container: str) -> Allowed:
    """Of that container of a pod: its limits as they are in force, else as they are written."""
    states = thing.get("status", {}).get("containerStatuses") or []
    written = thing["spec"]["containers"]
    in_force = next((each.get("resources") for each in states if each["name"] == container), None) or {}
    wanted = next((each.get("resources") for each in written if each["name"] == container), None) or {}
    limits = in_force.get("limits") or wanted.get("limits") or {}
    cpus, memory = limits.get("cpu"), limits.get("memory")
    return Allowed(
        cpus=None if cpus is None else float(quantity(str(cpus))), memory_bytes=None if memory is None else int(quantity(str(memory)))
    )
