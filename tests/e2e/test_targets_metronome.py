"""metronome as a real process: it is down in the manner asked for, when its truth log says so, and in step with its likes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT))

from bench.kv_nodes import claim_block, wait

pytestmark = pytest.mark.e2e
TRIES = 3
IN_STEP_NS = 10_000_000

TARGET = ROOT / "targets" / "metronome"
PORT = 7000
DOWN = {
    "refuse": {"refused", "reset"},
    "reset": {"reset"},
    "hang": {"silence", "reset"},
    "error": {"503"},
    "late": {"silence"},
    "silent": {"silence"},
}
"""What a client may meet while a replica is down; at the very end of hang it is reset."""


@contextmanager
def replicas(folder: Path, count: int, *options: str) -> Iterator[list[str]]:
    """Running replicas, by address; their data is in ``folder``/1 and so on."""
    block, claim = claim_block()
    addresses = [f"127.{block}.1.{number}" for number in range(1, count + 1)]
    processes = []
    try:
        for number, address in enumerate(addresses, 1):
            command = [sys.executable, "-E", "-s", "-S", str(TARGET / "serve.py"), "--node", f"n{number}", "--address", address]
            command += ["--port", str(PORT), "--data", str(folder / str(number)), *options]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
            processes.append(process)
            assert process.stdout is not None
            assert process.stdout.readline()
        yield addresses
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()
        claim.close()


def ask(address: str) -> str:
    """One request on a fresh connection: the status, or how it failed."""
    with socket.socket() as client:
        client.settimeout(0.05)
        try:
            client.connect((address, PORT))
            client.sendall(b"PUT /kv/a HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\n\r\nhi")
            return client.recv(4096)[9:12].decode() or "reset"
        except TimeoutError:
            return "silence"
        except ConnectionRefusedError:
            return "refused"
        except (ConnectionResetError, BrokenPipeError):
            return "reset"


def truth(folder: Path) -> list[tuple[int, int]]:
    """The outages that are over."""
    path = folder / "truth.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(row["down_ns"], row["up_ns"]) for row in rows if row["up_ns"] is not None]


@pytest.mark.parametrize("manner", sorted(DOWN))
def test_each_manner_is_met_exactly_when_the_log_says_so(tmp_path: Path, manner: str) -> None:
    """Requests wholly inside an outage fail in the manner's way, requests wholly outside are answered.

    A busy machine may keep a client waiting for longer than its patience: few of them, once in some tries.
    """
    assert any(met(tmp_path / str(number), manner) for number in range(TRIES)), "each time many outside were not answered"


def met(folder: Path, manner: str) -> bool:
    """Whether nearly all requests outside of outages were answered."""
    folder.mkdir()
    epoch = str(time.monotonic_ns())
    tempo = ["--down-min", "80ms", "--down-max", "200ms", "--up-min", "60ms", "--up-max", "120ms"]
    options = ["--manner", manner, "--epoch-ns", epoch, *tempo]
    seen: list[tuple[int, int, str]] = []
    with replicas(folder, 1, *options) as (address,):
        end = time.monotonic() + 30
        while len(truth(folder / "1")) < 4 and time.monotonic() < end:
            begun = time.monotonic_ns()
            seen.append((begun, time.monotonic_ns(), ask(address)))
            seen[-1] = (begun, time.monotonic_ns(), seen[-1][2])
        outages = truth(folder / "1")
    assert len(outages) >= 4
    inside = Counter(what for begun, done, what in seen for down, up in outages if down <= begun and done <= up)
    last = outages[-1][1]
    outside = Counter(what for begun, done, what in seen if done < last and all(done < down or begun > up for down, up in outages))
    assert inside.keys() & DOWN[manner]
    assert inside.keys() <= DOWN[manner] | {"silence"}
    assert outside.keys() <= {"200", "silence"}
    return outside["200"] > 0.9 * outside.total()


def test_replicas_are_in_step(tmp_path: Path) -> None:
    """Three replicas go down and come up within a few milliseconds of each other, the truth logs say so.

    A busy machine may hold one up; in the best of six outages, or of some more, it does not. Replicas out of step never meet like that.
    """
    options = ("--down-min", "50ms", "--down-max", "100ms", "--up-min", "100ms", "--up-max", "150ms", "--quiet", "500ms")
    with replicas(tmp_path, 3, *options):
        wait("six outages each", lambda: all(len(truth(tmp_path / str(number))) >= 6 for number in (1, 2, 3)), every_s=0.02)
        wait("one in step", lambda: closest_ns(tmp_path) < IN_STEP_NS, within_s=5.0, every_s=0.1)


def closest_ns(folder: Path) -> int:
    """By how much the three are apart at most, in the outage in which they are closest."""
    first, *others = [dict(truth(folder / str(number))) for number in (1, 2, 3)]
    apart_ns = []
    for down, up in first.items():
        nearest = [min(other.items(), key=lambda outage, down=down: abs(outage[0] - down)) for other in others]
        apart_ns.append(max(max(abs(theirs[0] - down), abs(theirs[1] - up)) for theirs in nearest))
    return min(apart_ns)


def test_an_outage_that_is_not_over_is_logged_as_such(tmp_path: Path) -> None:
    """SIGTERM in an outage leaves a line without an end."""
    epoch = str(time.monotonic_ns())
    options = ["--manner", "error", "--down-min", "20s", "--down-max", "21s", "--up-min", "2s", "--up-max", "2s", "--epoch-ns", epoch]
    with replicas(tmp_path, 1, *options) as (address,):
        wait("it is down", lambda: ask(address) == "503")
    rows = [json.loads(line) for line in (tmp_path / "1" / "truth.jsonl").read_text().splitlines()]
    assert [row["up_ns"] for row in rows] == [None]
