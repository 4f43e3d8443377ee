"""What one person sees and types during a game day: steps with what to watch, marks by one key, and the state of the cluster in one line.

On a terminal a key is enough; where standard input is none, a line whose first word is the key or its name does the same, so that a
script can lead as well.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Final, TextIO

from chaos.core.escaping import terminal
from chaos.history import people
from chaos.history.folder import RunFolder
from chaos.history.people import GameDay, Said
from chaos.registry import processes as proc
from chaos.report.metrics.progress import FolderFollower, Progress

LOOK_EVERY_S: Final = 0.25
PLAIN_EVERY_S: Final = 10.0
"""Without a terminal the state is told so often."""
USUAL_WIDTH: Final = 80
LEAVE: Final = "leave"
KEYS: Final = {
    "\n": people.GO, "\r": people.GO, "g": people.GO, "s": people.SKIP, "x": people.ABORT, "q": LEAVE,
    "n": people.NOTICED, "a": people.ACKNOWLEDGED, "m": people.MITIGATED, "f": people.FIXED, "t": people.NOTE, "i": people.ACTION,
}  # fmt: skip
WANT_TEXT: Final = (people.NOTE, people.ACTION)
HELP: Final = (
    "Enter begins a step, s skips it, x ABORTS and rolls back, q leaves the terminal",
    "n noticed  a acknowledged  m mitigated  f fixed  t note  i action item",
)


class Terminal:
    """One terminal on one game day."""

    def __init__(self, folder: RunFolder, who: str, source: TextIO, shown: TextIO) -> None:
        self._folder = folder
        self._who = who
        self._source = source
        self._shown = shown
        self._is_terminal = source.isatty() and shown.isatty()
        self._follower = FolderFollower(folder.history)
        self._told_step = (0, False)
        self._told_active: dict[str, str] = {}
        self._told_at_s = 0.0
        self._told_over = ""
        self._open = True
        self._unread = ""

    def lead(self) -> bool:
        """Until the run is over (false), or whoever sits here leaves it (true)."""
        self._line(f"You are {self._who}.")
        for line in HELP:
            self._line(line)
        with self._by_key():
            while True:
                state, progress = people.read_state(self._folder.path), self._follower.now()
                self._tell(state, progress)
                if state is not None and not self._goes_on(state):
                    self._clear()
                    return False
                what, text = self._typed()
                if what == LEAVE:
                    self._clear()
                    return True
                if what:
                    self._say(what, text, state)

    def _goes_on(self, state: GameDay) -> bool:
        return proc.alive(proc.Identity(state.pid, state.pid_start, state.boot))

    # --- what is typed -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _by_key(self) -> Iterator[None]:
        """Keys come one by one, and are not shown; as before afterwards."""
        if sys.platform == "win32":
            raise AssertionError("only Linux runs nodes")
        if not self._is_terminal:
            yield
            return
        import termios
        import tty

        fd = self._source.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd)
        try:
            yield
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)

    def _typed(self) -> tuple[str, str]:
        """(what, words) of a key or a line; empty if nothing came for a moment."""
        if not self._open:
            time.sleep(LOOK_EVERY_S)
            return "", ""
        if not self._is_terminal:
            return self._next_line()
        if not select.select([self._source], [], [], LOOK_EVERY_S)[0]:
            return "", ""
        pressed = os.read(self._source.fileno(), 1).decode(errors="replace")
        if not pressed:
            return LEAVE, ""  # the terminal is gone
        what = KEYS.get(pressed, "")
        return what, self._asked(what) if what in WANT_TEXT else ""

    def _next_line(self) -> tuple[str, str]:
        if "\n" not in self._unread:
            if not select.select([self._source], [], [], LOOK_EVERY_S)[0]:
                return "", ""
            data = os.read(self._source.fileno(), 4096).decode(errors="replace")
            self._open = bool(data)  # nobody types any more: what goes on is still shown
            self._unread += data
            if "\n" not in self._unread:
                return "", ""
        line, _, self._unread = self._unread.partition("\n")
        word, _, text = line.strip().partition(" ")
        return KEYS.get(word or "\n", word if word in KEYS.values() else ""), text

    def _asked(self, what: str) -> str:
        """A line of words for a note or an action item."""
        if sys.platform == "win32":
            raise AssertionError("only Linux runs nodes")
        import termios

        fd = self._source.fileno()
        raw = termios.tcgetattr(fd)
        plain = termios.tcgetattr(fd)
        plain[3] |= termios.ICANON | termios.ECHO
        self._clear()
        termios.tcsetattr(fd, termios.TCSADRAIN, plain)
        try:
            self._shown.write(f"{what}: ")
            self._shown.flush()
            return self._source.readline().strip()
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, raw)

    def _say(self, what: str, text: str, state: GameDay | None) -> None:
        step = 0 if state is None else state.step
        if state is not None and state.holds and what not in people.ORDERS:
            step -= 1  # the one that waits has not begun: what is noticed now belongs to the one before
        if what in (people.GO, people.SKIP) and (state is None or not state.holds):
            self._line("no step waits now")
            return
        if what in WANT_TEXT and not text:
            return
        people.say(self._folder.path, Said(at_ns=time.monotonic_ns(), who=self._who, what=what, step=step, text=text))
        about = f" for step {step}" if step else ""
        self._line(f"{time.strftime('%H:%M:%S')} {what}{about} recorded" + (": rolling back every fault" if what == people.ABORT else ""))

    # --- what is shown -----------------------------------------------------------------------------------------------------

    def _tell(self, state: GameDay | None, progress: Progress) -> None:
        if state is not None and (state.step, state.holds) != self._told_step:
            self._told_step = (state.step, state.holds)
            if state.holds:
                self._step(state, progress)
        active = {each.id: f"{each.kind} on {each.target}" for each in progress.active.values()}
        for name in active.keys() - self._told_active.keys():
            self._line(f"fault {name} began: {active[name]}")
        for name in self._told_active.keys() - active.keys():
            self._line(f"fault {name} is rolled back, and proven gone")
        self._told_active = active
        if state is not None and state.over != self._told_over:
            self._told_over = state.over
            self._line(f"{state.over}; the run ends, is judged, and the review is written")
        now_s = time.monotonic()
        if self._is_terminal:
            self._shown.write(f"\r\x1b[K{self._fitted(self._status(state, progress))}")
            self._shown.flush()
        elif now_s - self._told_at_s >= PLAIN_EVERY_S:
            self._told_at_s = now_s
            self._line(self._status(state, progress))

    def _step(self, state: GameDay, progress: Progress) -> None:
        """Before a step: what it does, what to watch, how to go on."""
        self._line("")
        self._line(f"Step {state.step} of {len(state.steps)}: {state.steps[state.step - 1]}")
        watched = ", ".join(progress.requests)
        self._line(f"  watch below: requests ({watched}), nodes, roles")
        self._line(f"  watch too: your dashboards and alerts; logs in {self._folder.logs}")
        self._line("  expected effect, rollback by hand: see the runbook (nines runbook)")
        self._line("  Enter begins, s skips, x aborts the game day and rolls back")

    def _status(self, state: GameDay | None, progress: Progress) -> str:
        words = [f"{progress.phase} {progress.elapsed_s:.0f} s"]
        if state is not None and state.step:
            words.append(f"step {state.step}/{len(state.steps)}{' HOLDS' if state.holds else ''}")
        for name, counts in progress.requests.items():
            words.append(f"{name} {f'DOWN {counts.bad_run_s:.1f} s' if counts.bad_run_s else 'ok'}")
        words += [f"{node} {status}" for node, status in sorted(progress.nodes.items()) if status != "up"]
        words += [f"{role}: {', '.join(sorted(nodes)) or 'none'}" for role, nodes in progress.roles.items() if len(nodes) <= 1]
        return "  ".join(words)

    def _fitted(self, text: str) -> str:
        width = 0  # what a terminal says that does not know its own
        with contextlib.suppress(OSError, ValueError):
            width = os.get_terminal_size(self._shown.fileno()).columns
        return terminal(text)[: (width or USUAL_WIDTH) - 1]

    def _clear(self) -> None:
        if self._is_terminal:
            self._shown.write("\r\x1b[K")
            self._shown.flush()

    def _line(self, text: str) -> None:
        self._clear()
        self._shown.write(terminal(text) + "\n")
        self._shown.flush()
