"""The test of ten lines in docs/pytest.md, word for word, on a compose system that is not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from chaos.engine.connection import Engine
from tests.support.doc_pages import blocks_of
from tests.support.paths import ROOT
from tests.support.theirs import PORT, theirs

LOADED_ONCE = (np, special)
"""The inner pytest forgets what it imported, and these cannot be loaded a second time in one process."""
STORE = f"""
import http.server, json, socket, threading

me = socket.gethostbyname(socket.gethostname())

class Store(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        first = min(socket.gethostbyname_ex("store")[2], key=lambda each: [int(part) for part in each.split(".")])
        self.answer(json.dumps({{"state": "leader" if first == me else "follower"}}))
    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer("{{}}")
    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", {PORT}), Store).serve_forever()
"""


def test_the_page_s_test_kills_their_leader(
    state: Path, engine: Engine, base_image: str, harness_image: str, pytester: pytest.Pytester
) -> None:
    """Three replicas of a compose service; the one with the lowest address leads, and dies twice."""
    (block,) = (block for block in blocks_of(ROOT / "docs" / "pytest.md") if block.file == "test_leader.py")
    assert len([line for line in block.text.splitlines() if line.strip()]) <= 13
    with theirs(engine, base_image, command=lambda _: ["python3", "-c", STORE], replicas_of="store") as there:
        dead = there.deaths()
        pytester.makepyfile(test_leader=block.text)
        pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
        first = min((1, 2, 3), key=lambda number: [int(part) for part in there.before[number - 1][2].split(".")])
        assert dead() == {f"{there.word}-{first}"}
        there.assert_as_before(engine, harness_image)
