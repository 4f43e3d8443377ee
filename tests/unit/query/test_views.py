"""The watch of failure detectors: what a node says of every other one, told when it changes."""

from __future__ import annotations

import json

from chaos.core.clock import to_ns
from chaos.experiment.target.spec import Ask
from chaos.history.events import ViewChanged
from chaos.query.http import Reply
from chaos.query.once import Fetched
from chaos.query.watch_spec import WatchedNode
from chaos.query.watcher import WatchedState

STATUS = Ask(http="http://198.18.0.1:7000/status")
NODE = WatchedNode(
    node="n1",
    views={"fixed": {other: f"peers.{other}.alive=false" for other in ("n2", "n3")}, "phi": {"n2": "peers.n2.phi"}},
    views_ask=STATUS,
)


def test_changes_of_a_view_are_told_once_and_silence_tells_nothing() -> None:
    """Asked every second: all well, n2 suspected, the same again, no answer, an error page, well again."""
    state = WatchedState(NODE)
    (question,) = state.questions
    line = (question.host, question.port, question.request, question.expect)

    def take(at_s: float, body: str | None) -> list[tuple[str, str, bool, float]]:
        reply = None if body is None else Reply(200, body.encode(), keep_alive=True)
        rows = state.take({line: Fetched(reply, "timed out" if body is None else None, to_ns(at_s), to_ns(at_s + 0.01))})
        assert all(isinstance(row, ViewChanged) and row.at_ns == to_ns(at_s + 0.01) for row in rows)
        return [(row.detector, row.other, row.suspects, row.resolution_s) for row in rows if isinstance(row, ViewChanged)]

    def answer(n2_alive: bool, phi: bool) -> str:
        return json.dumps({"peers": {"n2": {"alive": n2_alive, "phi": phi}, "n3": {"alive": True}}})

    assert take(0.0, answer(True, False)) == [("fixed", "n2", False, 0.0), ("fixed", "n3", False, 0.0), ("phi", "n2", False, 0.0)]
    assert take(1.0, answer(False, False)) == [("fixed", "n2", True, 1.01)]
    assert take(2.0, answer(False, True)) == [("phi", "n2", True, 1.01)]
    assert take(3.0, answer(False, True)) == []
    assert take(4.0, None) == []
    assert take(5.0, "<html>") == []
    assert [row[:3] for row in take(6.0, answer(True, False))] == [("fixed", "n2", False), ("phi", "n2", False)]
