"""What the prober's benches share: one run of the prober against a server, what it cost, and the edge rule worked out independently."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from chaos.experiment.traffic import ClientPolicy
from chaos.history import observations
from chaos.traffic.spec import OperationOrder, ProberSpec

PYTHON = sys.executable
HERE = Path(__file__).parent
LEAD_NS = 800_000_000
"""The prober starts its interpreter well within this."""


@dataclass
class Result:
    """One run: every slot, and the CPU seconds that the process took."""

    records: NDArray[np.void]
    cpu_s: float
    wall_s: float
    waited_s: float
    """How long it was ready to run while its core did something else."""
    rows: list[dict[str, object]]

    @property
    def late_ms(self) -> NDArray[np.float64]:
        """How late each slot was sent; infinite for one that never was."""
        late = (self.records["sent"] - self.records["due"]) / 1e6
        return np.where(self.records["sent"] == 0, np.inf, late)


def on_core(core: int, command: list[str]) -> list[str]:
    """The command kept on one core, where ``taskset`` and a second core are there."""
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command


def order(rate_per_s: float, what: str = "PUT http://{address}:{client}/kv/{key}", **options: str) -> OperationOrder:
    """One HTTP operation."""
    return OperationOrder(name="write", probe="http", does="write", rate_per_s=rate_per_s, options={"what": what, **options})


def spec(folder: Path, where: tuple[str, int], rate_per_s: float, duration_s: float, client: ClientPolicy | None = None) -> ProberSpec:
    """A run of one operation that begins soon, against an address and port."""
    address, port = where
    return ProberSpec(
        run="bench",
        seed=1,
        start_ns=time.monotonic_ns() + LEAD_NS,
        duration_s=duration_s,
        observations=str(folder / "observations.bin"),
        operations=(order(rate_per_s),),
        client=client or ClientPolicy(),
        ports={"client": port},
        name="data.nines.test",
        addresses=(address,),
    )


def probe(folder: Path, wanted: ProberSpec) -> Result:
    """Run the prober to its end, on the first core. CPU time is counted from its being ready (its start-up is not part of the rate)."""
    path = folder / "spec.json"
    path.write_bytes(msgspec.json.encode(wanted))
    command = on_core(0, [sys.executable, "-m", "chaos.traffic.prober", str(path)])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"ready": True}
    before_s, begun = cpu_s(process.pid), time.monotonic()
    rows, waited_s = [], 0.0
    for line in process.stdout:
        rows.append(json.loads(line))
        waited_s = core_wait_s(process.pid, waited_s)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"the prober ended with {process.returncode}"
    spent_s = usage.ru_utime + usage.ru_stime - before_s
    return Result(observations.read(Path(wanted.observations)), spent_s, time.monotonic() - begun, waited_s, rows)


def core_wait_s(pid: int, before_s: float) -> float:
    """The second number of ``/proc/PID/schedstat``, in seconds; what was read before if the process has just ended."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return before_s


def cpu_s(pid: int) -> float:
    """User and system seconds so far (fields 14 and 15 of ``/proc/PID/stat``)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(command: list[str], core: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A server that says ``ready`` and ends with its standard input."""
    process = subprocess.Popen(on_core(core, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{command[0]} does not serve")
        yield process
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(10)
        process.stdout.close()


def fast_server(folder: Path) -> list[str] | None:
    """The Go server, built; None where there is no Go."""
    if shutil.which("go") is None:
        return None
    binary = folder / "fast"
    built = subprocess.run(["go", "build", "-o", str(binary), str(HERE / "fast.go")], capture_output=True, check=False)
    return [str(binary)] if built.returncode == 0 else None


def downtime_s(due_ns: NDArray[np.int64], good: NDArray[np.bool_], opens: int = 2, closes: int = 2) -> tuple[float, int]:
    """The edge rule over slots in due order: open after so many bad in a row, close after so many good, edges midway between slots."""
    total_ns, count = 0.0, 0
    begin_ns: float | None = None
    run = 0
    for at in range(len(good)):
        run = run + 1 if at and good[at] == good[at - 1] else 1
        if begin_ns is None and not good[at] and run == opens:
            first = at - run + 1
            begin_ns = (due_ns[first - 1] + due_ns[first]) / 2 if first else float(due_ns[0])
        elif begin_ns is not None and good[at] and run == closes:
            first = at - run + 1
            total_ns += (due_ns[first - 1] + due_ns[first]) / 2 - begin_ns
            count += 1
            begin_ns = None
    if begin_ns is not None:
        total_ns += due_ns[-1] - begin_ns
        count += 1
    return total_ns / 1e9, count


@dataclass
class Row:
    """One line of a bench's table; ``ok`` is None where nothing is asked, ``beside`` is another tool or the raw call in the same run."""

    figure: str
    reach: str
    got: str
    beside: str = ""
    ok: bool | None = None


def folded(figure: str, reach: str, got: str, beside: str, parts: list[Row]) -> list[Row]:
    """One row for a figure of several parts: reached if each part is. The parts follow as details, of which nothing is asked."""
    details = [
        Row(f"· {part.figure}", part.reach, part.got + (" (missed)" if part.ok is False else ""), part.beside, None) for part in parts
    ]
    return [Row(figure, reach, got, beside, all(part.ok is not False for part in parts)), *details]


def arguments(about: str, argv: list[str] | None) -> argparse.Namespace:
    """``--json`` and ``--quick``."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    return parser.parse_args(argv)


def machine() -> Row:
    """What else the machine was doing: lateness on a busy one is not ours alone."""
    return Row("machine", "", f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def show(rows: list[Row], as_json: bool) -> int:
    """The table or JSON on stdout; 1 if a figure was missed."""
    if as_json:
        print(json.dumps([vars(row) | {"ok": None if row.ok is None else bool(row.ok)} for row in rows]))
    else:
        from tabulate import tabulate

        words = {True: "yes", False: "NO", None: ""}
        shown = [(row.figure, row.reach, row.got, row.beside, words[row.ok]) for row in rows]
        print(tabulate(shown, headers=["figure", "to reach", "got", "beside", "ok"]))
    return 1 if any(row.ok is False for row in rows) else 0
