"""Netem on a real kernel that has it: what we order is taken, read back, and does what was asked. The kernel is one in user mode.

Kernels of build machines often lack netem, and their packets are not to be harmed either: User Mode Linux runs one as a plain process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from chaos.faults.base.packets import Z_PROOF, Counted
from tests.support.needs import need
from tests.support.paths import SUPPORT

pytestmark = pytest.mark.e2e
GUEST = SUPPORT / "netem_guest.py"
WITHIN_S = 150
MEMORY = "256M"
DELAY = {"what": "delay", "amount": 0.05}
ORDERS: dict[str, list[dict[str, Any]]] = {
    "loss": [{"what": "loss", "amount": 0.1}],
    "duplicate": [{"what": "duplicate", "amount": 0.1}],
    "corrupt": [{"what": "corrupt", "amount": 0.1}],
    "reorder": [{"what": "reorder", "amount": 0.1, "delay_s": 0.05}],
    "delay": [DELAY],
    "normal": [DELAY | {"jitter_s": 0.002, "distribution": "normal", "correlation": 0.25}],
    "two duplicates": [{"what": "duplicate", "amount": 0.1}, {"what": "duplicate", "amount": 0.1, "to": "n3"}],
    "many": [{"what": "loss", "amount": 0.1}, DELAY, {"what": "rate", "amount": 4e6}, {"what": "rate", "amount": 1e5, "to": "n3"}],
    "nothing": [],
}
"""One after the other on one wire, so that the ways from each to the next are tried as well."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By name; one kernel for all of them."""
    need("linux.uml")
    folder = tmp_path_factory.mktemp("kernel")
    orders, init = folder / "orders.json", folder / "init"
    orders.write_text(json.dumps([{"name": name, "rules": rules} for name, rules in ORDERS.items()]), encoding="utf-8")
    init.write_text(f"#!/bin/sh\nexec {sys.executable} -P {GUEST} {orders}\n", encoding="utf-8")
    init.chmod(0o755)
    folder.chmod(0o755)
    words = [
        "linux.uml",
        f"mem={MEMORY}",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={init}",
        "con=null",
        "con0=null,fd:1",
        "quiet",
        f"uml_dir={folder}",
    ]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN_S, check=False, cwd=folder)
    if "ptrace set fp regs failed" in done.stdout:
        # Seen where the processor's state is larger than this kernel's program expects (AVX-512, AMX): it cannot run any process.
        pytest.skip("user-mode Linux does not run on this processor: ptrace set fp regs failed")
    lines = [line.partition("RESULT ")[2] for line in done.stdout.splitlines() if "RESULT " in line]
    found = {each["name"]: each for each in map(json.loads, lines)}
    assert set(found) == {*ORDERS, "healed by itself"}, done.stdout[-2000:]
    return found


@pytest.mark.parametrize("name", list(ORDERS))
def test_what_is_ordered_stands_there(results: dict[str, dict[str, Any]], name: str) -> None:
    """As the kernel itself says it, after every change."""
    assert results[name]["difference"] == ""


@pytest.mark.parametrize(
    ("name", "hit"),
    [
        ("loss", "missing"),
        ("duplicate", "doubled"),
        ("two duplicates", "doubled"),
        ("corrupt", "missing"),
        ("reorder", "early"),
        ("many", "missing"),
    ],
)
def test_as_many_are_hit_as_asked(results: dict[str, dict[str, Any]], name: str, hit: str) -> None:
    """Ten percent, but for chance; of damaged ones some do not arrive at all. Nothing else happens to packets."""
    seen = results[name] | {"missing": results[name]["sent"] - results[name]["arrived"]}
    low, high = Counted(seen[hit], seen["sent"]).around(Z_PROOF)
    assert low <= 0.1 <= high, seen
    others = {"missing", "doubled", "early"} - {hit}
    assert all(seen[other] <= seen["sent"] * 0.01 for other in others), seen
    assert (seen["damaged"] > 100) == (name == "corrupt")


def test_delays(results: dict[str, dict[str, Any]]) -> None:
    """One way, so a round trip gains it once; and nothing is left of it."""
    assert results["delay"]["shortest_s"] >= 0.05
    assert results["normal"]["shortest_s"] >= 0.035
    assert results["nothing"]["shortest_s"] < 0.05
    assert (results["nothing"]["arrived"], results["nothing"]["doubled"]) == (results["nothing"]["sent"], 0)


def test_it_heals_itself(results: dict[str, dict[str, Any]]) -> None:
    """What the agent does when it hears nobody."""
    healed = results["healed by itself"]
    assert healed["problems"] == []
    assert "netem" not in healed["left"]
    assert "htb" not in healed["left"]
