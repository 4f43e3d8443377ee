"""Every kind of fault, five times each on ``replicated_kv``, as a user runs it: effective each time, and no verdict unknown by our doing.

    python -m bench.faults_every [--runtime local|docker|both] [--kinds kill,pause,...] [--times 5] [--json] [--quick]

Kinds come from the table of faults, their fields from the examples in docs/ and experiments/ (as for ``make soak``). One run a kind with
so many faults, one after the other; figures come from its ``report.json``. To reach: every fault effective and proven gone, and every
assumption held but for those that a busy machine breaks (slots sent in time, a quiet baseline), which are told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.servers import runs
from chaos.core import plugins as tables
from chaos.engine.connection import answers
from tools.soak.kinds import ROOT, Example, examples

BY_NAME_ONLY = True
RUNTIMES = ("local", "docker")
FOR_S, APART_S = 2.0, 6.0
LONGER_S = {"restart": 8.0}
"""``for`` is the time that it may take."""
OF_THE_MACHINE = {"requests sent on time", "baseline error-free"}


def text(example: Example, times: int) -> str:
    """The example so often, with time to settle between."""
    whole = json.loads(example.text(1))
    fault = whole["faults"][0]
    lasts_s = LONGER_S.get(example.kind, FOR_S)
    fault["at"] = [f"{1 + number * (lasts_s + APART_S):g}s" for number in range(times)]
    fault["for"] = f"{lasts_s:g}s"
    whole["settle"] = "15s"
    return json.dumps(whole)


def one(example: Example, runtime: str, times: int, folder: Path) -> runs.Row:
    """Run it, as a process."""
    folder.mkdir(parents=True)
    file = folder / "every.yaml"
    file.write_text(text(example, times), encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", str(file), "--runtime", runtime, "--json", "--folder", str(folder / "run")]
    environment = {**os.environ, "NINES_STATE": str(folder / "state")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        said = " / ".join(line.strip() for line in done.stderr.strip().splitlines()[-2:])
        # A kernel without some module: not a failure of the fault, and told before anything started.
        return runs.Row(f"{example.kind} ({runtime})", f"{times} of {times}", "not done", said, None if done.returncode == 5 else False)
    return row(example, runtime, times, report)


def row(example: Example, runtime: str, times: int, report: dict[str, Any]) -> runs.Row:
    """How often it took, how soon, by what means; what was wrong."""
    faults = report["faults"]
    healed = [fault for fault in faults if fault["status"] == "healed"]
    onsets_ms = [(fault["effective_at_s"] - fault["asked_at_s"]) * 1e3 for fault in healed]
    failed = [f"{each['name']}: {each['detail']}" for each in report["checks"] if each["verdict"] == "fail"]
    ours = [each["name"] for each in report["checks"] if each["verdict"] == "fail" and each["name"] not in OF_THE_MACHINE]
    onset = f", {statistics.median(onsets_ms):.0f} ms after the command" if onsets_ms else ""
    mechanism = str((healed[0]["achieved"] or {}).get("mechanism", "")) if healed else ""
    beside = "; ".join(filter(None, [mechanism, *failed]))
    shown = ", ".join(f"{key}: {value}" for key, value in example.fields.items())
    return runs.Row(
        f"{example.kind}{f' {{{shown}}}' if shown else ''} ({runtime})",
        f"{times} of {times}",
        f"{len(healed)} of {len(faults)}{onset}",
        beside,
        len(healed) == len(faults) == times and not ours,
    )


def measure(runtimes: list[str], kinds: list[str], times: int) -> list[runs.Row]:
    """All of them; progress on standard error."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as scratch:
        for runtime in runtimes:
            can, cannot = examples(runtime, kinds)
            for kind, ways in sorted(can.items()):
                found = one(ways[0], runtime, times, Path(scratch) / f"{runtime}-{kind}")
                print(f"{found.figure}: {found.got} | {found.beside} | {found.ok}", file=sys.stderr, flush=True)
                rows.append(found)
            rows += [runs.Row(f"{kind} ({runtime})", "", "refused before the start", why) for kind, why in cannot.items()]
    good, asked = sum(each.ok is True for each in rows), sum(each.ok is not None for each in rows)
    figure = f"every kind of fault, {times} times each on replicated_kv"
    return runs.folded(figure, "effective each time, gone each time", f"{good} of {asked} kinds and runtimes", "", rows)


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a kind did not take each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtime", default="both", choices=[*RUNTIMES, "both"])
    parser.add_argument("--kinds", default="", help="of those in the table of faults; all unless told")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="twice each")
    chosen = parser.parse_args(argv)
    runtimes = [each for each in RUNTIMES if chosen.runtime in (each, "both") and (each != "docker" or answers())]
    kinds = chosen.kinds.split(",") if chosen.kinds else tables.names("faults")
    return runs.show([*measure(runtimes, kinds, 2 if chosen.quick else chosen.times), runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
