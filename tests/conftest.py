"""What all tests share: a limit in time, an own state folder, golden files, and no silent skip where ``NINES_CI=1`` is set."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from xdist.workermanage import WorkerController

from tests.support.needs import closing_line, strict
from tests.support.needs import need as need_part
from tests.support.quick import QUICK
from tests.support.spread import DOCKER_SUITE, Spread, alone_last, rank, step_back

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
SUITES: Final = frozenset({"browser", "docker", "engines", "kubernetes", "systems"})
"""Folders whose tests all have the mark of that name, and no others have it."""

# What Python has compiled is kept, whatever the machine's setting: else each worker, and each of the many processes that tests start,
# compiles all modules anew. Rewriting the tests' assertions alone takes 12 s of CPU a worker.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The workers share the cores. numpy's OpenBLAS has a thread a core else, and those that have nothing to do wait for it in a loop:
# half of the processor time of tests that multiply matrices.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
MOST_MAPPED: Final = 32 * 2**20
"""glibc takes no more."""


def keep_memory() -> None:
    """Arrays of predictions, some megabytes each, are made of memory that this process has already: the kernel gives and clears each
    page anew else, which is a third of the processor time of a prediction. Without glibc nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MOST_MAPPED)
        mallopt(M_TRIM_THRESHOLD, 2**30)


keep_memory()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update-golden`` writes what the tests found instead of comparing."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew; look at the difference before you keep it")


# --- an end ------------------------------------------------------------------------------------------------------------

DOCKER_LIMIT_S: Final = 600.0
"""The first test of an engine waits for its images; all others have the limit of pyproject.toml, unless they name their own."""
LAST_RESORT_S: Final = 60.0
"""So long after its limit a test that not even pytest-timeout could end takes its process down, with the stack of every thread."""


STDERR = pytest.StashKey[int]()
ALONE_LAST = pytest.StashKey[bool]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Whoever starts the tests in the background of a script makes them ignore SIGINT, and all that they start: no test means that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
        session.config.stash[STDERR] = os.dup(2)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What ``-m`` leaves out by its folder is not imported: that takes a third of the time until the first test, in each worker."""
    if collection_path.parent != HERE or not collection_path.is_dir():
        return None
    suite, wanted = collection_path.name, config.option.markexpr
    left_out = f"not {suite}" in wanted.split(" and ") or (wanted in SUITES and suite != wanted)
    return True if left_out else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limits, and an order that suits ``spread``."""
    for item in items:
        if item.get_closest_marker("docker") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(DOCKER_LIMIT_S))
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that hangs while it is being ended must not hold the rest up for ever."""
    marker = item.get_closest_marker("timeout")
    limit_s = float(marker.args[0] if marker else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(limit_s + LAST_RESORT_S, exit=True, file=item.config.stash[STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


STEPS_BACK: Final = "nines_steps_back"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """See ``spread``. All workers of the Docker suite share one engine."""
    config.stash[ALONE_LAST] = alone_last(config)
    if config.option.markexpr == DOCKER_SUITE:
        from tests.support.suite_engine import suite_engine

        engine = contextlib.ExitStack()
        config.add_cleanup(engine.close)
        suite_engine(engine)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Before a worker starts it is told whether to step back."""
    node.workerinput[STEPS_BACK] = not node.config.stash[ALONE_LAST]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With ``-n``: see ``spread``."""
    return Spread(config, log, config.stash[ALONE_LAST])


# --- skips -------------------------------------------------------------------------------------------------------------

SKIPPED = pytest.StashKey[list[str]]()
LACKING = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Where skips are gathered."""
    config.stash[SKIPPED] = []
    config.stash[LACKING] = []
    config.pluginmanager.register(_Skips(config), "nines-skips")
    worker = getattr(config, "workerinput", {})
    if worker.get(STEPS_BACK):
        step_back(worker["workerid"])


class _Skips:
    """Turns a skip whose reason nobody allowed into a failed run, in strict mode."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        lines = (HERE / "ALLOWED_SKIPS").read_text(encoding="utf-8").splitlines()
        self._allowed = [re.compile(line) for line in lines if line and not line.startswith("#")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
            self._config.stash[LACKING].append(reason)
            if not any(pattern.match(reason) for pattern in self._allowed):
                self._config.stash[SKIPPED].append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if strict() and self._config.stash[SKIPPED] and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        closing = closing_line(self._config.stash[LACKING])
        if closing:
            terminalreporter.write_line(closing, yellow=True)
        if strict() and self._config.stash[SKIPPED]:
            terminalreporter.section("skips that nobody allowed (tests/ALLOWED_SKIPS)")
            for line in self._config.stash[SKIPPED]:
                terminalreporter.write_line(line)


# --- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs of the tests are entered into a registry of their own: what else runs on this machine is not their business."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NINES_STATE", str(tmp_path_factory.mktemp("state")))
    patch.setenv("NINES_HISTORY", "off")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one short run on the fake runtime, judged, with all its reports. Tests only read it."""
    from chaos.api import order_text, perform
    from chaos.history.folder import RunFolder

    folder = RunFolder(tmp_path_factory.mktemp("quick") / "quick-run")
    perform(order_text(QUICK, Path("quick.yaml")), folder)
    return folder.path


@pytest.fixture
def need() -> Callable[..., None]:
    """``need("etcd")``: go on if it is there, else skip, or fail in strict mode."""
    return need_part


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden("quickstart.txt", text)``: equal to the kept file, or written with ``--update-golden``."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
            return
        assert text == path.read_text(encoding="utf-8"), f"{name} differs; if that is meant: pytest --update-golden"

    return compare
