"""Asking for code that waits: the questions of ``aio`` on an event loop in a thread of its own, so that many questions go out at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from chaos.core.clock import Clock, MonotonicClock
from chaos.experiment.target.spec import Ask
from chaos.query.aio import ask
from chaos.query.question import Answer

T = TypeVar("T")


class Door:
    """To be closed. Every question goes on a connection of its own; a node's failure is an answer, never an exception."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or MonotonicClock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asker", daemon=True)
        self._thread.start()

    def ask(self, question: Ask, timeout_s: float) -> Answer:
        """Once, all within ``timeout_s``."""
        return self.run(ask(question, timeout_s, self.clock))

    def ask_all(self, questions: Sequence[Ask], timeout_s: float) -> list[Answer]:
        """All at the same time; the answers in the order of the questions."""

        async def together() -> list[Answer]:
            return await asyncio.gather(*(ask(question, timeout_s, self.clock) for question in questions))

        return self.run(together())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of it; from any thread but the loop's own."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """No more questions: those that nobody waits for any more are given up."""

        async def end() -> None:
            open_still = asyncio.all_tasks() - {asyncio.current_task()}
            for task in open_still:
                task.cancel()
            await asyncio.gather(*open_still, return_exceptions=True)

        self.run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
