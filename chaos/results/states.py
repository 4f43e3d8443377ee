"""What a run came to, in one word: the states that every report, gate, test and table shows, each with its icon and tone.

``state`` in ``report.json`` holds the name. Colour is never alone: each state has an icon of its own, on a page as a drawing,
in a terminal as a letter, in Markdown as an emoji.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.results.report import Report


class State(NamedTuple):
    """One state, and how each medium shows it."""

    name: str
    """As in ``report.json``, and the class of the style sheet."""
    word: str
    icon: str
    """One letter wide, and not the only one of its tone."""
    emoji: str
    tone: str
    """``good``, ``bad``, ``open`` (no answer) or ``neutral`` (nothing was asked)."""
    colour: str
    """A colour of terminals, by its name (``COLOURS``)."""
    meaning: str
    """In one sentence, for someone who meets the word for the first time."""


PASS: Final = State("pass", "PASS", "✓", "✅", "good", "green", "Every objective is met, and every validity check passed.")
FAIL: Final = State("fail", "FAIL", "✗", "❌", "bad", "red", "At least one objective is missed; the measurement is valid.")
INCONCLUSIVE: Final = State(
    "inconclusive", "INCONCLUSIVE", "?", "❔", "open", "yellow", "The measurement is valid, but too small for an answer."
)
INVALID: Final = State("invalid", "INVALID", "!", "⚠️", "open", "magenta", "An assumption failed, so no figure of this run can be trusted.")
ABORTED: Final = State("aborted", "ABORTED", "■", "🛑", "bad", "red", "A safety condition ended the run early.")
INTERRUPTED: Final = State("interrupted", "INTERRUPTED", "‖", "⏸️", "open", "yellow", "Somebody or something ended the run early.")
BASELINE: Final = State(
    "baseline", "BASELINE", "–", "📏", "neutral", "cyan", "No fault was injected: these are the figures without faults."
)
SIMULATED: Final = State(
    "simulated", "SIMULATED", "~", "🧪", "neutral", "cyan", "The run took place in virtual time: nothing real was tested."
)
LEFT_OVER: Final = State(
    "left-over", "FAULTS LEFT OVER", "⚑", "🚨", "bad", "red", "A fault could not be verified as rolled back: clean up first."
)
CRASHED: Final = State("crashed", "CRASHED", "✱", "💥", "bad", "red", "Nines itself failed.")
NOT_STARTED: Final = State("not-started", "NOT STARTED", "○", "🚫", "open", "yellow", "The run could not start.")
UNKNOWN: Final = State("unknown", "UNKNOWN", "?", "❔", "open", "yellow", "What the run came to is not recorded.")

STATES: Final = {
    state.name: state
    for state in (PASS, FAIL, INCONCLUSIVE, INVALID, ABORTED, INTERRUPTED, BASELINE, SIMULATED, LEFT_OVER, CRASHED, NOT_STARTED, UNKNOWN)
}
BESIDE: Final = (BASELINE, SIMULATED)
"""Those that also stand beside another one: ``INVALID, SIMULATED``."""
BY_CODE: Final = {0: PASS, 1: FAIL, 4: ABORTED, 5: NOT_STARTED, 6: LEFT_OVER, 70: CRASHED, 130: INTERRUPTED, 143: INTERRUPTED}
"""What an exit code alone tells; 3 tells only that there is no answer."""
COLOURS: Final = {"green": 32, "red": 31, "yellow": 33, "magenta": 35, "cyan": 36}
"""Numbers of ANSI colours."""


def of(report: Report) -> State:
    """The state of a report; of one that is older than this word, what its exit code tells."""
    return named(report.state, report.exit_code)


def named(name: str, exit_code: int | None = None) -> State:
    """The state of this name; where there is none, what the exit code tells."""
    found = STATES.get(name)
    if found is not None:
        return found
    return UNKNOWN if exit_code is None else BY_CODE.get(exit_code, UNKNOWN)


def beside(report: Report) -> list[State]:
    """What a reader must know beside the state: no faults, not real. Never the state itself once more."""
    return [state for state in BESIDE if state.name in report.qualifiers and state is not of(report)]


def words(states: Iterable[State]) -> str:
    """``PASS, SIMULATED``."""
    return ", ".join(state.word for state in states)
