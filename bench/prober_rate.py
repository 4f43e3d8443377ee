"""How many slots a second the prober keeps on one core, how late it sends them, and what a thousand a second cost.

    python -m bench.prober_rate [--json] [--quick]

HTTP keep-alive against a Go server on the other core. To reach: 12,000 slots a second with at most 0.5 % sent more than 1 ms
late; 1,000 a second for at most 15 % of a core. Beside it, in the same run: vegeta's open loop where it is installed, and a bare
loop that does nothing but wait for each due time, send and receive on one connection, which shows what the machine itself adds.
"""

from __future__ import annotations

import csv
import select
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np

from bench.servers import runs

ADDRESS, PORT = "127.9.1.2", 7000
FAST_PER_S, PLAIN_PER_S, TLS_PER_S = 12_000.0, 1_000.0, 6_000.0
VEGETA = "in an earlier measurement its open loop kept 6,000 a second on one core and collapsed at 8,000"
REQUEST = b"PUT /kv/k1 HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\nv1"


def late_share(late_ms: np.ndarray) -> float:
    """The share sent more than 1 ms late, in percent."""
    return 100 * float((late_ms > 1.0).mean())


def bare_loop(rate_per_s: float, duration_s: float) -> tuple[float, float]:
    """(percent over 1 ms late, share of a core) of the simplest loop there is, on the prober's core."""
    script = "import sys; from bench.prober_rate import bare; print(*bare(float(sys.argv[1]), float(sys.argv[2])))"
    command = runs.on_core(0, [runs.PYTHON, "-c", script, str(rate_per_s), str(duration_s)])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    late, share = done.stdout.split()
    return float(late), float(share)


def bare(rate_per_s: float, duration_s: float) -> tuple[float, float]:
    """The loop itself."""
    late_ms = []
    with socket.create_connection((ADDRESS, PORT)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun, cpu_s = time.monotonic(), time.process_time()
        for slot in range(int(rate_per_s * duration_s)):
            due = begun + slot / rate_per_s
            left_s = due - time.monotonic()
            if left_s > 0:
                select.select([], [], [], left_s)
            late_ms.append((time.monotonic() - due) * 1e3)
            connection.sendall(REQUEST)
            connection.recv(65536)
        return late_share(np.array(late_ms)), (time.process_time() - cpu_s) / (time.monotonic() - begun)


def vegeta(rate_per_s: float, duration_s: float, folder: Path) -> str:
    """The same by vegeta on the same core, or why not. A hit's lateness is its time against the grid that begins with the first hit."""
    if shutil.which("vegeta") is None:
        return "vegeta is not installed"
    targets = folder / "targets"
    targets.write_text(f"PUT http://{ADDRESS}:{PORT}/kv/k1\n", encoding="utf-8")
    attack = [
        "vegeta",
        "-cpus",
        "1",
        "attack",
        f"-rate={rate_per_s:.0f}/1s",
        f"-duration={duration_s:.0f}s",
        f"-targets={targets}",
        "-timeout=250ms",
    ]
    hits = subprocess.run(runs.on_core(0, attack), capture_output=True, check=True).stdout
    lines = subprocess.run(["vegeta", "encode", "--to", "csv"], input=hits, capture_output=True, check=True).stdout.decode().splitlines()
    fields = [(int(row[0]), int(row[8])) for row in csv.reader(lines)]
    sent_ns = np.array([at for at, _ in sorted(fields, key=lambda field: field[1])])
    late_ms = (sent_ns - sent_ns[0] - np.arange(len(sent_ns)) * 1e9 / rate_per_s) / 1e6
    wanted = rate_per_s * duration_s
    return f"vegeta {late_share(late_ms):.2f} % late, {len(sent_ns) / wanted:.1%} of the slots sent"


def measure(
    rate_per_s: float, duration_s: float, folder: Path, rounds: int, *, encrypted: bool = False
) -> tuple[list[float], list[float], list[float]]:
    """Percent over 1 ms late, share of a core, and percent of the time the core was taken by others, of each round."""
    late, share, taken = [], [], []
    for _ in range(rounds):
        wanted = runs.spec(folder, (ADDRESS, PORT), rate_per_s, duration_s)
        if encrypted:
            operation = runs.order(rate_per_s, "PUT https://{address}:{client}/kv/{key}", ca=str(folder / "cert.pem"))
            wanted = msgspec.structs.replace(wanted, operations=(operation,))
        result = runs.probe(folder, wanted)
        assert (result.records["outcome"] == 0).mean() > 0.999, "the server does not keep up: the bench is worth nothing"
        late.append(late_share(result.late_ms))
        share.append(result.cpu_s / duration_s)
        taken.append(100 * result.waited_s / result.wall_s)
    return late, share, taken


def over_tls(command: list[str], duration_s: float, folder: Path, rounds: int) -> list[runs.Row]:
    """The same rates over TLS, one handshake a kept connection; the certificate is made here, for a curve that is usual."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    made = ["openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=bench", "-addext", f"subjectAltName=IP:{ADDRESS}"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    with runs.serving([*command, f"{ADDRESS}:{PORT}", str(folder / "cert.pem"), str(folder / "key.pem")]):
        late, share, _ = measure(TLS_PER_S, duration_s, folder, rounds, encrypted=True)
        _, plain, _ = measure(PLAIN_PER_S, duration_s, folder, rounds, encrypted=True)
    shown = f"{float(np.median(late)):.2f} % late, {float(np.median(share)):.0%} of a core"
    return [
        runs.Row(f"{TLS_PER_S:,.0f} slots a second over TLS", "", shown, "TLS 1.3, kept connections", None),
        runs.Row("1,000 slots a second over TLS, core", "", f"{float(np.median(plain)):.1%}", "", None),
    ]


def main(argv: list[str] | None = None) -> int:
    """Rows on stdout; exits 1 if a figure is missed."""
    chosen = runs.arguments(__doc__ or "", argv)
    duration_s, rounds = (3.0, 3) if chosen.quick else (10.0, 5)
    with tempfile.TemporaryDirectory(prefix="nines-bench-") as name:
        folder = Path(name)
        command = runs.fast_server(folder)
        if command is None:
            row = runs.Row("prober, HTTP keep-alive, one core", "", "not measured: its server needs Go", f"vegeta: {VEGETA}", None)
            return runs.show([row], chosen.json)
        with runs.serving([*command, f"{ADDRESS}:{PORT}"]):
            late, share, taken = measure(FAST_PER_S, duration_s, folder, rounds)
            beside = f"{vegeta(FAST_PER_S, duration_s, folder)}; at 6,000 a second: {vegeta(6_000.0, duration_s, folder)}"
            plain_late, plain_share, _ = measure(PLAIN_PER_S, duration_s, folder, rounds)
            bare_late, bare_share = bare_loop(PLAIN_PER_S, duration_s)
        encrypted = over_tls(command, duration_s, folder, rounds) if shutil.which("openssl") else []
    median_late, median_share, plain = (float(np.median(found)) for found in (late, share, plain_share))
    spread = f"median of {rounds}, {min(late):.2f} to {max(late):.2f} %"
    shown = f"vegeta is not installed; {VEGETA}" if "not installed" in beside else beside
    bare_words = f"bare loop at the same rate: {bare_share:.0%} of a core, {bare_late:.2f} % late"
    rows = [
        runs.Row("12,000 slots a second, over 1 ms late", "<= 0.5 %", f"{median_late:.2f} % ({spread})", shown, median_late <= 0.5),
        runs.Row(
            "12,000 slots a second, core",
            "<= 100 %",
            f"{median_share:.0%}",
            f"ready to run while others had the core: {float(np.median(taken)):.1f} % of the time",
            median_share <= 1.0,
        ),
        runs.Row("1,000 slots a second, core", "<= 15 %", f"{plain:.1%}", bare_words, plain <= 0.15),
        runs.Row("1,000 slots a second, over 1 ms late", "", f"{float(np.median(plain_late)):.2f} %", bare_words, None),
        *encrypted,
    ]
    reach = "12,000 slots a second with at most 0.5 % over 1 ms late; 1,000 for at most 15 % of a core"
    got = f"{median_late:.2f} % late; {plain:.1%} of a core"
    table = runs.folded("prober, HTTP keep-alive, one core", reach, got, shown, rows)
    return runs.show([*table, runs.machine()], chosen.json)


if __name__ == "__main__":
    raise SystemExit(main())
