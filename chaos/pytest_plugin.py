"""The pytest plugin: installing the package is enough. Costs nothing until it is used: all of Nines is imported on first use.

    run_experiment(file | text)   run an experiment, get its Report
    verdict(file | text | Report) the same, and fail the test unless the verdict is the expected one
    cluster                       a target's cluster, up for the length of a test
    nines_runtime, nines_seed, nines_folder, nines_cluster    what these are made of: override them as you like

``pytest --nines experiments/`` collects experiments as test items. An unknown verdict is a failure (``--nines-unknown``).
Run folders have unique names (under ``runs``, or in a test's temporary folder), so xdist is safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.plugin import Cluster
    from chaos.results.report import Report

    Source = str | Path


UNKNOWN = ("fail", "skip", "pass")
"""What may become of a test whose run came to no verdict."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nines`` and what goes with it."""
    group = parser.getgroup("nines", "chaos experiments")
    group.addoption("--nines", action="store_true", help="collect experiments/*.yaml as test items")
    group.addoption("--nines-runtime", metavar="NAME", default=None, help="auto, local, docker or fake; default: what the experiment says")
    group.addoption("--nines-seed", metavar="N", type=int, default=None, help="instead of the experiment's own")
    group.addoption(
        "--nines-unknown", choices=UNKNOWN, default=None, help="a test or experiment whose verdict is unknown: fail (default), skip or pass"
    )
    group.addoption("--nines-allow-unknown", action="store_true", help="the same as --nines-unknown=skip")
    parser.addini("nines_unknown", "what a test or experiment with an unknown verdict is: fail (default), skip or pass", default="fail")


def pytest_configure(config: pytest.Config) -> None:
    """The marker that shapes the ``cluster`` fixture."""
    config.addinivalue_line("markers", "nines_cluster(target, nodes=None, **settings): what the `cluster` fixture starts")


# --- experiments as test items -----------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExperimentFile | None:
    """YAML files in a folder named ``experiments``, and those given by name."""
    if not parent.config.getoption("--nines") or file_path.suffix not in (".yaml", ".yml"):
        return None
    named = any(Path(argument.split("::")[0]).absolute() == file_path for argument in parent.config.args)
    return ExperimentFile.from_parent(parent, path=file_path) if named or file_path.parent.name == "experiments" else None


class ExperimentFile(pytest.File):
    """One file: one experiment."""

    def collect(self) -> Iterator[pytest.Item]:
        """The experiment, under the name of its file."""
        yield ExperimentItem.from_parent(self, name=self.path.stem)


class WrongVerdict(Exception):
    """The verdict is not the expected one; carries the whole text report."""


class ExperimentItem(pytest.Item):
    """Runs the experiment; passes if its verdict is the one it expects."""

    def runtest(self) -> None:
        """Run it, into a folder of its own under ``runs`` of pytest's root folder."""
        report = _run(
            self.path, self.config.rootpath / "runs", self.config.getoption("--nines-runtime"), self.config.getoption("--nines-seed")
        )
        self.user_properties.append(("nines_folder", report.folder))
        self.user_properties.append(("nines_verdict", report.verdict))
        self.add_report_section("call", "nines", _text(report))
        _require(report, self.config)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None) -> str:  # noqa: ARG002
        """A wrong verdict and bad input need no traceback."""
        from chaos.core.errors import NinesError

        if isinstance(excinfo.value, WrongVerdict | NinesError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands, for the log."""
        return self.path, 0, f"experiment {self.name}"


# --- fixtures ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def nines_runtime(request: pytest.FixtureRequest) -> str | None:
    """Where nodes run; None: what the experiment says."""
    chosen: str | None = request.config.getoption("--nines-runtime")
    return chosen


@pytest.fixture
def nines_seed(request: pytest.FixtureRequest) -> int | None:
    """The seed; None: the experiment's own."""
    seed: int | None = request.config.getoption("--nines-seed")
    return seed


@pytest.fixture
def nines_folder(tmp_path: Path) -> Path:
    """The folder under which run folders are made."""
    return tmp_path / "runs"


@pytest.fixture
def run_experiment(
    nines_runtime: str | None, nines_seed: int | None, nines_folder: Path, request: pytest.FixtureRequest
) -> Callable[..., Report]:
    """A function: an experiment's path, or its text -> its report. Raises ``NinesError`` if it could not be run.

    A run whose verdict is unknown fails the test there and then, whatever it would have asked of the report: figures of such a run
    prove nothing. ``run_experiment(source, unknown="pass")`` (or ``"skip"``, ``--nines-unknown``, the ini option ``nines_unknown``) asks
    for the report all the same.
    """
    numbers = itertools.count(1)

    def run(source: Source, unknown: str | None = None) -> Report:
        report = _run(source, nines_folder / str(next(numbers)), nines_runtime, nines_seed)
        if report.verdict == "unknown" and report.expect_verdict != "unknown":
            _answer_unknown(report, unknown or _unknown(request.config))
        return report

    return run


@pytest.fixture
def verdict(run_experiment: Callable[..., Report], request: pytest.FixtureRequest) -> Callable[[Source | Report], Report]:
    """A function: runs the experiment (or takes its report) and fails the test unless the verdict is the expected one."""

    def require(source: Source | Report) -> Report:
        report = run_experiment(source, unknown="pass") if isinstance(source, str | Path) else source
        try:
            _require(report, request.config)
        except WrongVerdict as wrong:
            pytest.fail(str(wrong), pytrace=False)
        return report

    return require


@pytest.fixture
def nines_cluster(request: pytest.FixtureRequest) -> str:
    """The experiment whose ``cluster`` is started by the fixture of that name, as YAML; made from the marker of the same name."""
    import json

    marker = request.node.get_closest_marker("nines_cluster")
    if marker is None:
        raise pytest.UsageError("the fixture 'cluster' needs @pytest.mark.nines_cluster(target=...), or your own fixture 'nines_cluster'")
    wanted = dict(zip(("target", "nodes"), marker.args, strict=False)) | marker.kwargs
    target, nodes = wanted.pop("target"), wanted.pop("nodes", None)
    spec = (
        {"target": target}
        | ({"nodes": nodes} if nodes else {})
        | ({"settings": {key: str(value) for key, value in wanted.items()}} if wanted else {})
    )
    operation = _first_operation(str(target), request.path)
    document = {
        "experiment": "cluster",
        "question": "Is it up?",
        "cluster": spec,
        "traffic": {"operations": {operation: "1/s"}},
    }
    return json.dumps(document)  # JSON is YAML


@pytest.fixture
def cluster(nines_cluster: str, nines_runtime: str | None, nines_folder: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that is up and ready, without traffic or faults; taken down after the test."""
    from chaos.api import new_folder, order_text
    from chaos.core.clock import ManualClock, MonotonicClock
    from chaos.core.plugins import find
    from chaos.run.leftovers import refuse_leftovers
    from chaos.run.manual.session import standing
    from chaos.run.signals import Interruption

    ordered: Ordered = order_text(nines_cluster, request.path, runtime=nines_runtime)
    virtual = ordered.plan.virtual
    if not virtual:
        refuse_leftovers()
    folder, runtime = new_folder("cluster", nines_folder), find("runtimes", ordered.plan.runtime)()
    clock = ManualClock() if virtual else MonotonicClock()
    with standing(ordered.plan, ordered.target, ordered.text, folder, runtime, clock, Interruption()) as up:
        yield up.cluster


# --- what they share ---------------------------------------------------------------------------------------------------


def _run(source: Source, folder: Path, runtime: str | None, seed: int | None) -> Report:
    from chaos.api import new_folder, order, order_text, perform

    if isinstance(source, str) and "\n" in source:
        ordered = order_text(source, Path("experiment.yaml"), runtime=runtime, seed=seed)
    else:
        ordered = order(Path(source), runtime=runtime, seed=seed)
    return perform(ordered, new_folder(ordered.experiment.name, folder))


def _require(report: Report, config: pytest.Config) -> None:
    if report.verdict == report.expect_verdict:
        return
    if report.verdict == "unknown" and _unknown(config) != "fail":
        _answer_unknown(report, _unknown(config))
        return
    raise WrongVerdict(f"verdict {report.verdict}, expected {report.expect_verdict}\n\n{_text(report)}")


def _unknown(config: pytest.Config) -> str:
    """What becomes of an unknown verdict, by the command line, else by the configuration."""
    if config.getoption("--nines-allow-unknown"):
        return "skip"
    chosen = config.getoption("--nines-unknown") or config.getini("nines_unknown")
    if chosen not in UNKNOWN:
        raise pytest.UsageError(f"nines_unknown = {chosen}: one of {', '.join(UNKNOWN)}")
    return str(chosen)


def _answer_unknown(report: Report, answer: str) -> None:
    from chaos.core.escaping import terminal

    reasons = "; ".join(report.reasons)
    if answer == "skip":
        pytest.skip(terminal(f"unknown: {reasons}"))
    if answer != "pass":
        pytest.fail(f"{terminal(f'the verdict of {report.experiment} is unknown: {reasons}')}\n\n{_text(report)}", pytrace=False)


def _text(report: Report) -> str:
    from chaos.report.formats.text import render

    return render(report)


def _first_operation(target: str, beside: Path) -> str:
    from chaos.experiment.target.load import load_target

    return next(iter(load_target(target, beside=beside.parent).operations))
