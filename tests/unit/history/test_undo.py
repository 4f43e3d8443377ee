"""The write-ahead undo log: on disk before the harm, readable torn at any byte."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from chaos.core.clock import ManualClock
from chaos.history.undo import UndoLog, entries, pending, settle, shielded


def test_intent_is_on_disk_before_it_is_entered(tmp_path: Path) -> None:
    """Whoever reads the file inside the intent finds it pending."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path, ManualClock(5))
    with log.intent("resume", "n1"):
        (entry,) = pending(path)
        assert (entry.action, entry.subject, entry.at_ns) == ("resume", "n1", 5)
    assert pending(path) == []
    assert [entry.state for entry in entries(path)] == ["intent", "done"]


def test_intent_is_synced_before_it_is_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is told to put it on the disk, not merely given it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    log = UndoLog(tmp_path / "undo.jsonl")
    with log.intent("resume", "n1"):
        assert len(synced) == 1


def test_exception_leaves_it_pending(tmp_path: Path) -> None:
    """What was not taken back in good order is still to be undone."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    with pytest.raises(ZeroDivisionError), log.intent("restore", "n1 -> n2"):
        raise ZeroDivisionError
    assert [str(entry) for entry in log.pending()] == ["restore n1 -> n2"]


def test_nested_intents_are_told_apart(tmp_path: Path) -> None:
    """Two intents of the same words: the one that is done is done, the other one pending."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    with pytest.raises(ZeroDivisionError), log.intent("start", "n1"):
        with log.intent("start", "n1"):
            pass
        raise ZeroDivisionError
    assert [entry.id for entry in pending(path)] == [1]


def test_readable_torn_at_any_byte(tmp_path: Path) -> None:
    """Cut anywhere: an intent that is whole is pending unless its ``done`` is whole as well; a later writer goes on."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    with pytest.raises(ZeroDivisionError), log.intent("resume", "n1"), log.intent("start", "n2"):
        raise ZeroDivisionError
    with log.intent("start", "n3"):
        pass
    log.close()
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        lines = whole[:size].count(b"}")
        assert len(pending(path)) == [0, 1, 2, 3, 2][lines]
        again = UndoLog(path)
        with again.intent("resume", "n9"):
            assert len(pending(path)) == [0, 1, 2, 3, 2][lines] + 1
        again.close()
        assert len(pending(path)) == [0, 1, 2, 3, 2][lines]


def test_reopened_log_reuses_no_number(tmp_path: Path) -> None:
    """The second writer's ``done`` must not close the first one's intent."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    with pytest.raises(ZeroDivisionError), log.intent("resume", "n1"):
        raise ZeroDivisionError
    with UndoLog(path).intent("resume", "n2"):
        pass
    assert [entry.subject for entry in pending(path)] == ["n1"]


def test_settle_marks_all_done_once(tmp_path: Path) -> None:
    """Healing closes what is pending and says what it was; a second time there is nothing."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)
    with pytest.raises(ZeroDivisionError), log.intent("resume", "n1"), log.intent("start", "n2"):
        raise ZeroDivisionError
    assert [str(entry) for entry in settle(path)] == ["resume n1", "start n2"]
    assert settle(path) == []
    assert pending(tmp_path / "none.jsonl") == []


def test_threads_do_not_mix_lines(tmp_path: Path) -> None:
    """Intents from many threads are whole lines with numbers of their own."""
    path = tmp_path / "undo.jsonl"
    log = UndoLog(path)

    def harm(name: str) -> None:
        for _ in range(20):
            with log.intent("start", name):
                pass

    threads = [threading.Thread(target=harm, args=(f"n{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = entries(path)
    assert len(found) == 160
    assert sorted(entry.id for entry in found if entry.state == "intent") == list(range(1, 81))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_shield_holds_a_signal_off_until_the_end(number: signal.Signals) -> None:
    """A signal inside does not interrupt; its own handler runs once, after the end."""
    seen: list[int] = []
    before = signal.signal(number, lambda got, _frame: seen.append(got))
    try:
        with shielded():
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert seen == []
        assert seen == [number]
        signal.raise_signal(number)
        assert seen == [number, number]
    finally:
        signal.signal(number, before)


def test_shield_keeps_an_error(tmp_path: Path) -> None:
    """An error inside comes out, and the handlers are back."""
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), shielded():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before
