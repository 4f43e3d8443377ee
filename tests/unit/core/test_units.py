"""Quantities as people write them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.core import units
from chaos.core.units import EXAMPLE, PARSE, pattern, written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5s", 1.5), ("2m", 120), ("2 min", 120), ("1h", 3600), ("30d", 2_592_000), ("10us", 1e-5), ("10µs", 1e-5),
     ("5ns", 5e-9), (".5s", 0.5), ("1e3ms", 1.0), (" 3s ", 3), ("-3s", -3), ("1m30s", 90), ("1h 15m", 4500), ("2h3m4.5s", 7384.5),
     ("1s500ms", 1.5), ("-1m30s", -90), ("0m30s", 30)],
)  # fmt: skip
def test_a_duration_becomes_seconds(text, seconds):
    """Every unit of time."""
    assert units.duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.rate_per_s, "100/s", 100), (units.rate_per_s, "30/m", 0.5), (units.rate_per_s, "1/ms", 1000),
        (units.ratio, "99.95%", 0.9995), (units.ratio, "0 %", 0),
        (units.size_bytes, "512MB", 512_000_000), (units.size_bytes, "1KiB", 1024), (units.size_bytes, "0.5GiB", 2**29),
        (units.size_bytes, "2Gi", 2**31), (units.size_bytes, "128Mi", 2**27),
        (units.bandwidth_bytes_per_s, "100KB/s", 100_000), (units.bandwidth_bytes_per_s, "1MiB/s", 2**20),
    ],
)  # fmt: skip
def test_a_quantity_becomes_a_number_in_its_unit(parse, text, value):
    """Rates, shares, sizes, throughputs."""
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (units.DURATION, "250"), (units.DURATION, "s"), (units.DURATION, "3 weeks"), (units.DURATION, "1s2"), (units.DURATION, ""),
        (units.DURATION, "nans"), (units.RATE, "100"), (units.RATE, "100/x"), (units.RATE, "100s"), (units.PERCENT, "0.5"),
        (units.PERCENT, "50 percent"), (units.SIZE, "512"), (units.SIZE, "512mb"), (units.BANDWIDTH, "100KB"), (units.BANDWIDTH, "100/s"),
        (units.BANDWIDTH, "1Mi/s"),
    ],
)  # fmt: skip
def test_a_quantity_without_its_unit_is_refused_with_an_example(kind, text):
    """What would be right stands in the message."""
    with pytest.raises(units.WrongUnit) as refused:
        units.PARSE[kind](text)
    assert units.EXAMPLE[kind] in str(refused.value)
    assert text in str(refused.value)


@pytest.mark.parametrize("text", ["30s1m", "1m1m", "1.5m30s", "1m30", "1m-30s", "1m30s/s"])
def test_units_of_one_duration_get_smaller(text):
    """Each once, and only the last with a fraction; the schema takes what the loader takes."""
    with pytest.raises(units.WrongUnit, match="write it like"):
        units.duration_s(text)
    for right in ("1m30s", "0m30s", "1h 15m"):
        assert re.fullmatch(pattern(units.DURATION, "more than 0"), right)
    assert not re.fullmatch(pattern(units.DURATION, "more than 0"), "0m0s")
    assert not re.fullmatch(pattern(units.DURATION, "at least 0"), "-1m30s")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (5e-7, "0.5 µs"), (0.25, "250 ms"), (1.84, "1.84 s"), (260, "4 min 20 s"), (11520, "3.2 h"), (12 * 86400, "12 d"),
     (-0.5, "-500 ms"), (119.9, "2 min"), (7200, "2 h"), ((1 - 0.999) * 30 * 86400, "43 min 12 s"), (3601, "60 min 1 s"), (299.6, "5 min"),
     ((1 - 0.9995) * 30 * 86400, "21 min 36 s"), ((1 - 0.9995) * 28 * 86400, "20 min 10 s"), ((1 - 0.9995) * 90 * 86400, "64 min 48 s"),
     (179.6, "3 min"), (119.4, "119 s"), (3599.7, "1 h"), (3600, "1 h"), (86400, "1 d"), (3 * 86400, "3 d"), (0.99996, "1 s"),
     (0.0009996, "1 ms"), (1e9, "11600 d"), (math.inf, "∞"), (math.nan, "unknown")],
)  # fmt: skip
def test_a_span_is_shown_for_people(seconds, shown):
    """Three digits, in the unit that fits; rounded before it is cut into minutes, so that nothing is lost and no unit overflows."""
    assert units.show_s(seconds) == shown


@pytest.mark.parametrize(
    ("name", "value", "label", "shown"),
    [
        ("rate_per_s", 200.0, "rate", "200/s"), ("load.sent_per_s", 1234.0, "load.sent", "1230/s"),
        ("crash_per_s", 1 / 60, "crash", "1/min"),
        ("seen_per_s", 0, "seen", "0/s"), ("rate_bytes_per_s", 1e5, "rate", "100 KB/s"), ("n1.rtt_s", 0.04, "n1.rtt", "40 ms"),
        ("n1.memory_bytes", 2.5e8, "n1.memory", "250 MB"), ("n1.clock_offset_s_at_end", 3600.0, "n1.clock offset at end", "1 h"),
        ("count", 200, "count", "200"), ("load.sent", 157.0, "load.sent", "157"), ("answers", "no", "answers", "no"),
    ],
)  # fmt: skip
def test_a_name_says_the_unit_of_its_value(name: str, value: object, label: str, shown: str) -> None:
    """By its longest ending: a rate is no time, though ``_per_s`` ends with ``_s``."""
    assert units.show(name, value) == (label, shown)


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (49_400, "49.4 KB"), (2.5e6, "2.5 MB"), (3e9, "3 GB"), (999_900, "1 MB")],
)
def test_sizes_for_people(size: float, shown: str) -> None:
    """In the largest decimal unit that leaves at least 1."""
    assert units.show_bytes(size) == shown


@pytest.mark.parametrize(
    ("kind", "sign", "right", "wrong"),
    [
        ("duration", "any", ["3s", "-3s", " 1.5 h ", "1e3ms", "5min"], ["3", "s", "3x", "1:30", "3 s s"]),
        ("duration", "at least 0", ["0s", "-0s", "+3s", ".5s"], ["-3s", "-.5s", "-0.01s"]),
        ("duration", "more than 0", ["3s", "+0.1s", "0.01s"], ["0s", "-3s", "0.0s", "0e5s", "-0s"]),
        ("rate", "more than 0", ["100/s", "30/m"], ["100", "100s", "0/s", "/s"]),
        ("percent", "at least 0", ["99.95%", "0%", "5 %"], ["5", "-1%", "%"]),
        ("size", "at least 0", ["512MB", "1KiB", "0B"], ["512", "512mb", "-1B"]),
        ("bandwidth", "more than 0", ["100KB/s"], ["100KB", "100KB/m", "0B/s"]),
    ],
)
def test_units_are_patterns(kind: str, sign: str, right: list[str], wrong: list[str]) -> None:
    """Each takes what its parser takes, within the sign that is asked."""
    assert not [text for text in right if not re.fullmatch(pattern(kind, sign), text)]
    assert not [text for text in wrong if re.fullmatch(pattern(kind, sign), text)]
    assert all(re.fullmatch(pattern(kind), example) for example in EXAMPLE[kind].split(", "))


@given(st.sampled_from([("duration", 86400.0), ("percent", 1.0), ("size", 1e12), ("bandwidth", 1e9), ("rate", 1e5)]), st.floats(0, 1))
def test_a_quantity_that_is_written_is_read_again(kind: tuple[str, float], share: float) -> None:
    """In any unit that it is a whole number of."""
    unit, most = kind
    value = float(round(share * most)) if unit == "size" else round(share * most, 6)
    assert PARSE[unit](written(value, unit)) == pytest.approx(value, rel=1e-11)
    assert re.fullmatch(pattern(unit), written(value, unit))
