"""One Docker engine for all workers of the Docker suite: they are started afterwards, and find it by ``DOCKER_HOST``."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from chaos.engine import private
from chaos.engine.connection import answers


def suite_engine(stack: ExitStack) -> None:
    """A private one, until ``stack`` is closed, if none answers; where none may be started, each test says what is missing."""
    if answers() or not private.may():
        return
    host = stack.enter_context(private.private_engine(private.folder_of(), lambda text: print(text, file=sys.stderr)))
    stack.enter_context(pytest.MonkeyPatch.context()).setenv("DOCKER_HOST", host)
