"""Units: in YAML every quantity carries one (``250ms``, ``100/s``, ``99.95%``, ``512MB``); in code every name does (``timeout_s``).

The annotated types below are what the fields of a spec are declared with; the loader reads the unit from them and
strips the suffix from the name (``timeout_s`` is written ``timeout: 250ms``). A bare number for such a field is refused.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Final

import msgspec

DURATION = "duration"
RATE = "rate"
PERCENT = "percent"
SIZE = "size"
BANDWIDTH = "bandwidth"

Seconds = Annotated[float, msgspec.Meta(ge=0, extra={"unit": DURATION})]
"""A time span in seconds; written ``250ms``, ``1.5s``, ``2m``, ``1m30s``, ``30d``."""
SignedSeconds = Annotated[float, msgspec.Meta(extra={"unit": DURATION})]
"""A time span that may be negative (a clock's offset)."""
PerSecond = Annotated[float, msgspec.Meta(gt=0, extra={"unit": RATE})]
"""A rate in 1/s; written ``100/s``, ``30/m``."""
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1, extra={"unit": PERCENT})]
"""A share in [0, 1]; written ``99.95%``."""
Bytes = Annotated[int, msgspec.Meta(ge=0, extra={"unit": SIZE})]
"""A size in bytes; written ``512MB`` (decimal) or ``512MiB`` (binary; ``512Mi`` in a manifest of Kubernetes)."""
BytesPerSecond = Annotated[float, msgspec.Meta(gt=0, extra={"unit": BANDWIDTH})]
"""A throughput in bytes/s; written ``100KB/s``."""

SUFFIX: Final = {DURATION: "_s", RATE: "_per_s", PERCENT: "", SIZE: "_bytes", BANDWIDTH: "_bytes_per_s"}
"""What the name of a field in code ends with, by unit."""

EXAMPLE: Final = {DURATION: "250ms, 3s, 2m, 1h", RATE: "100/s", PERCENT: "99.95%", SIZE: "512MB", BANDWIDTH: "100KB/s"}

_SPAN_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT_NAMES: Final = "|".join(sorted(_SPAN_S, key=len, reverse=True))
_SEVERAL: Final = re.compile(rf"\s*([-+]?)((?:\d+(?:\.\d*)?(?:{_UNIT_NAMES})\s*){{2,}})", re.ASCII)
"""Several units in one: ``1m30s``, ``2h 15m``."""
_PIECE: Final = re.compile(rf"(\d+(?:\.\d*)?)({_UNIT_NAMES})", re.ASCII)
_SIZE_BYTES: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_SIZE_WRITTEN: Final = _SIZE_BYTES | {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
"""The last ones are how manifests of Kubernetes write the binary ones."""
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*", re.ASCII)
_MOST: Final = {DURATION: 1e12, RATE: 1e12, PERCENT: 1e12, SIZE: 1e18, BANDWIDTH: 1e18}
"""Above this nothing of ours can be meant: 30,000 years, an exabyte."""


class WrongUnit(ValueError):
    """The text is not a quantity of the wanted kind; the message says what would be right."""


def _split(text: str, kind: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise WrongUnit(f"'{text}' is not a {kind}; write it like {EXAMPLE[kind]}")
    value = float(match[1])
    return value, match[2]


def _within(text: str, kind: str, value: float) -> float:
    if not abs(value) <= _MOST[kind]:
        raise WrongUnit(f"'{text}' is too big; write it like {EXAMPLE[kind]}")
    return value


def duration_s(text: str) -> float:
    """``"250ms"`` -> 0.25, ``"1m30s"`` -> 90.0."""
    several = _SEVERAL.fullmatch(text)
    if several is not None:
        return _within(text, DURATION, _sum_s(text, several[1], _PIECE.findall(several[2])))
    value, unit = _split(text, DURATION)
    if unit not in _SPAN_S:
        raise WrongUnit(f"'{text}' has no unit of time; write it like {EXAMPLE[DURATION]}")
    return _within(text, DURATION, value * _SPAN_S[unit])


def _sum_s(text: str, sign: str, pieces: list[tuple[str, str]]) -> float:
    """Of the pieces of one duration, each in a smaller unit than the one before; only the last may have a fraction."""
    scales = [_SPAN_S[unit] for _, unit in pieces]
    if any(later >= earlier for earlier, later in itertools.pairwise(scales)):
        raise WrongUnit(f"the units of '{text}' do not get smaller; write it like 1h30m, 1m30s")
    if any("." in value for value, _ in pieces[:-1]):
        raise WrongUnit(f"'{text}' has a fraction before its last unit; write it like 1m30s, 1m0.5s")
    span_s = sum(float(value) * scale for (value, _), scale in zip(pieces, scales, strict=True))
    return -span_s if sign == "-" else span_s


def rate_per_s(text: str) -> float:
    """``"100/s"`` -> 100.0, ``"30/m"`` -> 0.5."""
    value, unit = _split(text, RATE)
    if not unit.startswith("/") or unit[1:] not in _SPAN_S:
        raise WrongUnit(f"'{text}' is not a rate; write it like {EXAMPLE[RATE]}")
    return _within(text, RATE, value / _SPAN_S[unit[1:]])


def ratio(text: str) -> float:
    """``"99.95%"`` -> 0.9995."""
    value, unit = _split(text, PERCENT)
    if unit != "%":
        raise WrongUnit(f"'{text}' is not a percentage; write it like {EXAMPLE[PERCENT]}")
    return _within(text, PERCENT, value / 100.0)


def size_bytes(text: str) -> int:
    """``"512MB"`` -> 512_000_000."""
    value, unit = _split(text, SIZE)
    if unit not in _SIZE_WRITTEN:
        raise WrongUnit(f"'{text}' is not a size; write it like {EXAMPLE[SIZE]}")
    return round(_within(text, SIZE, value * _SIZE_WRITTEN[unit]))


def bandwidth_bytes_per_s(text: str) -> float:
    """``"100KB/s"`` -> 100_000.0."""
    value, unit = _split(text, BANDWIDTH)
    if not unit.endswith("/s") or unit[:-2] not in _SIZE_BYTES:
        raise WrongUnit(f"'{text}' is not a throughput; write it like {EXAMPLE[BANDWIDTH]}")
    return _within(text, BANDWIDTH, value * _SIZE_BYTES[unit[:-2]])


PARSE: Final = {DURATION: duration_s, RATE: rate_per_s, PERCENT: ratio, SIZE: size_bytes, BANDWIDTH: bandwidth_bytes_per_s}
"""The parser of each unit kind."""


_SCALES: Final[dict[str, dict[str, float]]] = {
    DURATION: {unit: scale for unit, scale in _SPAN_S.items() if unit != "min"},
    RATE: {"/s": 1.0},
    PERCENT: {"%": 0.01},
    SIZE: dict(_SIZE_BYTES),
    BANDWIDTH: {f"{unit}/s": scale for unit, scale in _SIZE_BYTES.items()},
}
"""Unit -> what one of it is in code, by unit kind."""
_SPELT: Final = {kind: list(scales) for kind, scales in _SCALES.items()} | {
    DURATION: list(_SPAN_S), RATE: [f"/{unit}" for unit in _SPAN_S], SIZE: list(_SIZE_WRITTEN),
}  # fmt: skip
"""Every spelling of a unit that the parser of its kind takes."""
SIGNS: Final = {"any": "", "at least 0": r"(?!-[\d.]*[1-9])", "more than 0": r"(?!-)(?=\+?[\d.]*[1-9])"}
"""What a pattern asks of the sign of its number."""

_SEVERAL_SIGNS: Final = {"any": "", "at least 0": r"(?!-.*[1-9])", "more than 0": r"(?!-)(?=.*[1-9])"}
"""The same of a duration in several units."""


def pattern(kind: str, sign: str = "any") -> str:
    """A regular expression, of the dialect of JSON Schema, for what the parser of that kind takes; without anchors."""
    if kind != DURATION:
        return rf"\s*{SIGNS[sign]}{_NUMBER}\s*(?:{'|'.join(_SPELT[kind])})\s*"
    one = rf"{SIGNS[sign]}{_NUMBER}\s*(?:{'|'.join(_SPELT[kind])})"
    several = rf"{_SEVERAL_SIGNS[sign]}[-+]?(?:\d+(?:\.\d*)?(?:{_UNIT_NAMES})\s*){{2,}}"
    return rf"\s*(?:{one}|{several})\s*"


def written(value: float, kind: str) -> str:
    """A quantity as a file would say it, in the largest unit that it is a whole number of: ``250ms``, ``30d``, ``64B``."""
    for unit, scale in sorted(_SCALES[kind].items(), key=lambda each: -each[1]):
        amount = value / scale
        if amount >= 1 and math.isclose(amount, round(amount), rel_tol=1e-12):
            return f"{round(amount)}{unit}"
    unit, scale = next((unit, scale) for unit, scale in _SCALES[kind].items() if kind != DURATION or unit == "s")
    return f"{value / scale:.12g}{unit}"


def digits(value: float) -> str:
    """Three significant digits, without an exponent where people write none: ``0.0123``, ``1230``, ``1.2e+09``."""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "e+" in text and abs(value) < 1e7 else text


_ROUNDING: Final = 1e-9
"""A share so near to 0 or 1 is 0 or 1: what is missing is the arithmetic's."""
_LEAST_SHARE: Final = 1e-6
"""Below this a share is said to be under it."""
_NEAR_ONE: Final = 0.99


def show_share(share: float) -> str:
    """A share for people: three significant digits, ``92.1 %``; from 99 % on, two of what is missing from 100 %: ``99.95 %``, ``99.982 %``.

    Zeros at the end are left out, as in times, so a promise reads as it was made: 0.999 is ``99.9 %``. ``100 %`` is said of 1 alone.
    """
    missing = 1.0 - share
    if abs(share) < _ROUNDING or abs(missing) < _ROUNDING:
        return f"{abs(share) * 100:.0f} %"
    if _NEAR_ONE <= share < 1:
        return f"{Decimal(100) - Decimal(f'{missing * 100:.2g}'):f} %"
    if 0 < share < _LEAST_SHARE:
        return f"under {_LEAST_SHARE * 100:.4f} %"
    return f"{digits(share * 100)} %"


def show_chance(chance: float) -> str:
    """A probability that was simulated, in whole per cent; what may happen is never 0 %, what may fail never 100 %: ``over 99 %``."""
    if 0 < chance < 0.01 or 0.99 < chance < 1:
        return "under 1 %" if chance < 0.5 else "over 99 %"
    return f"{chance * 100:.0f} %"


def show_bytes(size: float) -> str:
    """A size for people, in the largest decimal unit that leaves at least 1 after rounding: ``49.4 KB``."""
    for unit in ("GB", "MB", "KB"):
        if float(f"{size:.3g}") >= _SIZE_BYTES[unit]:
            return f"{digits(size / _SIZE_BYTES[unit])} {unit}"
    return f"{size:.3g} B"


def show_rate(per_s: float) -> str:
    """A rate for people: ``200/s``; of less than one in ten seconds, by the minute, hour or day: ``2/min``, ``1/d``."""
    for unit, scale in (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)):
        if per_s == 0 or abs(per_s) * scale >= (0.1 if unit == "s" else 1.0):
            return f"{digits(per_s * scale)}/{unit}"
    return f"{digits(per_s * 86400)}/d"


def show_s(seconds: float) -> str:
    """A time span for people: ``1.84 s``, ``250 ms``, ``4 min 20 s``, ``3.2 h``, ``12 d``. Rounded first, so that no unit overflows."""
    sign, value = ("-", -seconds) if seconds < 0 else ("", seconds)
    if not math.isfinite(value):
        return f"{sign}∞" if value > 0 else "unknown"
    rounded = float(f"{value:.3g}")
    if value == 0:
        return "0 s"
    if rounded < 1e-3:
        return f"{sign}{rounded * 1e6:.3g} µs"
    if rounded < 1:
        return f"{sign}{rounded * 1e3:.3g} ms"
    whole = round(value)
    if whole < 120:
        return f"{sign}{rounded:.3g} s"
    if whole == 3600:
        return f"{sign}1 h"
    if whole < 7200:
        minutes, left = divmod(whole, 60)
        return f"{sign}{minutes} min {left} s" if left else f"{sign}{minutes} min"
    if whole == 86400:
        return f"{sign}1 d"
    if rounded < 172_800:
        return f"{sign}{digits(value / 3600)} h"
    return f"{sign}{digits(value / 86400)} d"


_AT_END: Final = "_at_end"


def show(name: str, value: object) -> tuple[str, str]:
    """A label and a text for a value whose name carries its unit: ``rate_per_s`` 200.0 -> (``rate``, ``200/s``).

    The longest suffix counts, so that a rate (``_per_s``) or a throughput (``_bytes_per_s``) never reads as a time (``_s``).
    """
    tail = _AT_END if name.endswith(_AT_END) else ""
    stem = name.removesuffix(tail)
    shown = str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        kind = next((kind for kind in _BY_LENGTH if stem.endswith(SUFFIX[kind])), "")
        if kind:
            stem, shown = stem.removesuffix(SUFFIX[kind]), _SHOW[kind](float(value))
        elif isinstance(value, float):
            shown = digits(value)
    return (stem + tail).replace("_", " "), shown


_BY_LENGTH: Final = sorted((kind for kind in SUFFIX if SUFFIX[kind]), key=lambda kind: -len(SUFFIX[kind]))
_SHOW: Final[dict[str, Callable[[float], str]]] = {
    DURATION: show_s,
    RATE: show_rate,
    SIZE: show_bytes,
    BANDWIDTH: lambda value: f"{show_bytes(value)}/s",
}
