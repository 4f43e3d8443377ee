"""Which of two data centres is primary: the rules, step by step, and the copy of a state."""

from __future__ import annotations

from replicated_kv.centres import CENTRE, RECORD, Centres, Copied, Record, Told, change
from replicated_kv.messages import Entry
from replicated_kv.store import Store

SECOND = 1_000_000_000
START = 100 * SECOND


def centres(own: str, promotes: bool = True) -> Centres:
    """Of the zone a or b; a is the first."""
    return Centres(own, "a", SECOND, promotes, START)


def test_the_first_zone_begins() -> None:
    """Once the other one has said that it knows of nothing either, or nothing for long enough; the other one never."""
    first, second = centres("a"), centres("b")
    assert first.next(Record(), START, START + SECOND // 2) is None
    assert first.next(Record(), START, START + SECOND) == Record(1, "a", 0, True)
    first.heard(Told(0, "", "n4"), Record(), START + 1)
    assert first.next(Record(), START, START + 2) == Record(1, "a", 0, True)
    second.heard(Told(0, "", "n1"), Record(), START + 1)
    assert second.next(Record(), START, START + 9 * SECOND) is None
    second.heard(Told(1, "a", "n1"), Record(), START + 2)
    assert second.next(Record(), START, START + 3) == Record(1, "a", 0, False)


def test_a_standby_takes_over_when_clients_come_and_the_primary_is_silent() -> None:
    """All of it is needed: silence, a whole copy, and somebody who wants to write."""
    standby, record = centres("b"), Record(1, "a", 70, True)
    standby.heard(Told(1, "a", "n1"), record, START)
    late = START + 3 * SECOND
    assert standby.next(record, START, late) is None
    standby.want(START + SECOND // 2)
    assert standby.next(record, START, START + SECOND // 2) is None
    standby.want(late)
    assert standby.next(Record(1, "a", 70, False), START, late) is None
    assert standby.next(record, START, late) == Record(2, "b", 0, True)
    reader = centres("b", promotes=False)
    reader.want(late)
    assert reader.next(record, START, late) is None


def test_a_primary_without_a_leader_counts_as_silent() -> None:
    """What answers there cannot take writes."""
    standby, record = centres("b"), Record(1, "a", 70, True)
    standby.heard(Told(1, "a", None), record, START + SECOND)
    assert standby.silent(START + SECOND)
    standby.heard(Told(1, "a", "n2"), record, START + SECOND)
    assert not standby.silent(START + SECOND)


def test_an_old_primary_asks_before_it_answers() -> None:
    """After an election it waits for a word of the other centre; one of a higher epoch makes it the standby."""
    old, record = centres("a"), Record(1, "a", 0, True)
    assert not old.active(record, START, START + SECOND // 2)
    old.heard(Told(2, "b", "n4"), record, START + 1)
    assert old.next(record, START, START + 2) == Record(2, "b", 0, False)
    again = centres("a")
    again.heard(Told(1, "a", "n4"), record, START + 1)
    assert again.active(record, START, START + 2)
    assert centres("a").active(record, START, START + SECOND)


def test_one_that_lost_its_state_does_not_begin_anew() -> None:
    """It hears of an epoch that it knows nothing of."""
    empty = centres("a")
    empty.heard(Told(1, "a", "n4"), Record(), START + 1)
    assert empty.next(Record(), START, START + 9 * SECOND) is None


def test_a_copied_state_is_the_state() -> None:
    """Whatever was written before, in pieces: the same keys and values; the record survives a checkpoint; the old state goes."""
    primary, standby = Store(), Store()
    writes = [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4")]
    for at, (key, value) in enumerate(writes, 1):
        primary.apply(Entry(at, 1, key, value))
    assert list(primary.since(0)) == [("y", "2", 2), ("x", "3", 3), ("z", "4", 4)]
    assert list(primary.since(3)) == [("z", "4", 4)]
    standby.apply(Entry(1, 1, "gone", "0"))
    found = list(primary.since(0))
    pieces = [Copied(3, False, [each[:2] for each in found[:2]]), Copied(4, True, [each[:2] for each in found[2:]])]
    for at, piece in enumerate(pieces, 2):
        record = Record(1, "a", piece.at, piece.whole)
        standby.apply(Entry(at, 1, "", change(record, piece, anew=at == 2), CENTRE))
    restarted = Store()
    restarted.replace(*standby.snapshot()[:3])
    assert restarted.record == Record(1, "a", 4, True)
    assert {key: value for key, value, _ in restarted.items() if key != RECORD} == {"x": "3", "y": "2", "z": "4"}
    assert [key for key, _, _ in restarted.since(0)] == ["y", "x", "z"]
