"""The harness beside an engine: what the end and the silence of its input do to it, with real pipes and a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from chaos.elsewhere.frames import BEAT, LOST_AFTER_S, SIGNAL, Frames, frame

PROGRAM = """
import sys, time
from chaos.elsewhere.lifeline import Lifeline
line = Lifeline()
line.send(b"F", b"here")
try:
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    line.send(b"X", b"interrupted, lost" if line.lost.is_set() else b"interrupted")
line.end()
"""


@pytest.fixture
def harness() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def heard(process: subprocess.Popen[bytes]) -> list[tuple[bytes, bytes]]:
    """All that it says but its beats, to its end."""
    assert process.stdout is not None
    return [each for each in Frames().feed(process.stdout.read()) if each[0] != BEAT]


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert os.read(process.stdout.fileno(), 9) == frame(b"F", b"here")


def test_the_end_of_its_input_is_a_ctrl_c(harness: subprocess.Popen[bytes]) -> None:
    ready(harness)
    assert harness.stdin is not None
    harness.stdin.close()
    assert heard(harness) == [(b"X", b"interrupted, lost")]
    assert harness.wait() == 0


def test_silence_is_a_ctrl_c(harness: subprocess.Popen[bytes]) -> None:
    """The pipe stays open; beats come for a while and then no more."""
    ready(harness)
    assert harness.stdin is not None
    for _ in range(3):
        harness.stdin.write(frame(BEAT))
        harness.stdin.flush()
    silent_s = time.monotonic()
    assert heard(harness) == [(b"X", b"interrupted, lost")]
    assert time.monotonic() - silent_s >= LOST_AFTER_S - 0.1
    assert harness.wait() == 0


def test_a_signal_that_is_sent_is_a_signal(harness: subprocess.Popen[bytes]) -> None:
    ready(harness)
    assert harness.stdin is not None
    harness.stdin.write(frame(SIGNAL, str(int(signal.SIGINT)).encode()))
    harness.stdin.flush()
    assert heard(harness) == [(b"X", b"interrupted")]
    assert harness.wait() == 0


def test_who_does_not_read_delays_nothing() -> None:
    """A pipe holds 64 kB; the harness says a hundred times as much and goes on."""
    much = 'for _ in range(100): line.send(b"R", b"x" * 65536)\nprint("went on", file=sys.stderr, flush=True)\ntry:'
    program = PROGRAM.replace("try:", much, 1)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline().strip() == b"went on"
    process.kill()
    process.communicate()
