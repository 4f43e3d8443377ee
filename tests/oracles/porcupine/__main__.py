"""``python -m tests.oracles.porcupine``: ask Porcupine again, and store what it says of the random histories of the tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from tests.support.porcupine import VERDICTS, build, judged, random_histories


def main() -> None:
    """Build, ask, write."""
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        told = judged(program, ((name, workload, key.operations) for name, workload, key in random_histories()))
    found: dict[str, str] = {}
    for each in told:
        workload = each.name.split(" ")[0]
        found[workload] = found.get(workload, "") + ("y" if each.ok else "n")
    VERDICTS.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    wrong = sum(verdicts.count("n") for verdicts in found.values())
    print(f"{len(told)} histories, {wrong} of them not linearizable, {sum(each.seconds for each in told):.2f} s: {VERDICTS}")


if __name__ == "__main__":
    main()
