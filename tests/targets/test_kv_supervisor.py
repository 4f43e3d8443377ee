"""How long a supervisor waits before it starts a node again."""

from __future__ import annotations

from replicated_kv.supervisor import Backoff


def test_pauses_double_up_to_a_limit_and_begin_anew() -> None:
    """Deaths soon after a start: 0.1, 0.2, ... 5 s; after a long life 0.1 s again."""
    backoff, pauses, last = Backoff(0.1), [], 0.0
    for _ in range(8):
        last = backoff.after(last, 1.0)
        pauses.append(round(last, 3))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.after(last, 10.0) == 0.1
