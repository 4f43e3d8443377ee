"""The pytest plugin: installing the package is enough. Costs nothing until it is used: all of Nines is imported on first use.

    nines_run_experiment(file | text)   run an experiment, get its Report
    nines_verdict(file | text | Report) the same, and fail the test unless the verdict is the expected one
    nines_cluster                       a target's cluster, up for the length of a test
    nines_runtime, nines_seed, nines_folder, nines_history, nines_system_version, nines_unknown, nines_cluster_experiment
                                        what these are made of: override them as you like

``run_experiment``, ``verdict`` and ``cluster`` are the same under short names, unless ``nines_short_names = false`` in the ini file.
``pytest --nines experiments/`` collects experiments as test items. An unknown verdict is a failure (``--nines-unknown``).
Run folders have unique names (under ``runs``, or in a test's temporary folder), and the history takes several writers: xdist is safe.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chaos.api import Ordered
    from chaos.plugin import Cluster
    from chaos.results.report import Report
    from chaos.results.verdict import Objective

    Source = str | Path


UNKNOWN = ("fail", "skip", "pass")
"""What may become of a test whose run came to no verdict."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nines`` and what goes with it."""
    group = parser.getgroup("nines", "chaos experiments")
    group.addoption("--nines", action="store_true", help="collect experiments/*.yaml as test items")
    group.addoption(
        "--nines-runtime", metavar="NAME", default=None, help="auto, local, docker, kubernetes or fake; default: what the experiment says"
    )
    group.addoption(
        "--nines-seed", metavar="N", type=int, action="append", default=None,
        help="instead of the experiment's own; given several times, each experiment is one test item per seed",
    )  # fmt: skip
    group.addoption(
        "--only", metavar="FAULT", action="append", default=[], dest="nines_only",
        help="collect only experiments with this fault, by its kind or its name; may be repeated",
    )  # fmt: skip
    group.addoption("--nines-system-version", metavar="WORD", default=None, help="version of the system under test, for the history")
    group.addoption(
        "--nines-unknown", choices=UNKNOWN, default=None, help="a test or experiment whose verdict is unknown: fail (default), skip or pass"
    )
    group.addoption("--nines-allow-unknown", action="store_true", help="the same as --nines-unknown=skip")
    parser.addini("nines_unknown", "what a test or experiment with an unknown verdict is: fail (default), skip or pass", default="fail")
    parser.addini("nines_short_names", "offer cluster, run_experiment and verdict beside nines_cluster...", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """The markers, and the short names unless they are switched off."""
    config.addinivalue_line(
        "markers", "nines_cluster(target, nodes=None, **settings): what the fixture `nines_cluster` starts (or `cluster`, its short name)"
    )
    config.addinivalue_line("markers", "nines: each experiment that is collected as a test item: pytest --nines -m nines")
    if config.getini("nines_short_names"):
        config.pluginmanager.register(_ShortNames(), "nines-short-names")


# --- experiments as test items -----------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExperimentFile | None:
    """YAML files in a folder named ``experiments``, and those given by name."""
    if not parent.config.getoption("--nines") or file_path.suffix not in (".yaml", ".yml"):
        return None
    named = any(Path(argument.split("::")[0]).absolute() == file_path for argument in parent.config.args)
    if named or (file_path.parent.name == "experiments" and _is_experiment(file_path)):
        return ExperimentFile.from_parent(parent, path=file_path)
    return None


def _is_experiment(path: Path) -> bool:
    """A compose file or a target beside experiments is none of them; what cannot be read is a failed item, not a silent gap."""
    from chaos.core.errors import NinesError
    from chaos.experiment import kinds
    from chaos.experiment.source import parse, read_text

    try:
        return kinds.kind_of(parse(read_text(path), str(path)).entries) not in kinds.INSTEAD
    except NinesError:
        return True


class ExperimentFile(pytest.File):
    """One file: one experiment, once for each seed."""

    def collect(self) -> Iterator[pytest.Item]:
        """The experiment, under the name of its file."""
        if not self._has_wanted_fault():
            return
        seeds: list[int | None] = self.config.getoption("--nines-seed") or [None]
        for seed in seeds:
            name = self.path.stem if len(seeds) == 1 else f"{self.path.stem}[seed={seed}]"
            item = ExperimentItem.from_parent(self, name=name, seed=seed)
            item.add_marker("nines")
            yield item

    def _has_wanted_fault(self) -> bool:
        """With ``--only``: whether one of its faults is meant. A file that does not load is collected, to fail with its line."""
        wanted = set(self.config.getoption("nines_only"))
        if not wanted:
            return True
        from chaos.core.errors import NinesError
        from chaos.experiment.document import load_experiment

        try:
            faults = load_experiment(self.path).faults
        except NinesError:
            return True
        return any(wanted & {fault.kind, fault.name} for fault in faults)


class WrongVerdict(Exception):
    """The verdict is not the expected one; carries what a reader needs of the report."""


class ExperimentItem(pytest.Item):
    """Runs the experiment; passes if its verdict is the one it expects."""

    def __init__(self, *, seed: int | None, **kwargs: Any) -> None:  # noqa: ANN401 - as pytest's own
        super().__init__(**kwargs)
        self.seed = seed

    def runtest(self) -> None:
        """Run it, into a folder of its own under ``runs`` of pytest's root folder."""
        options = self.config
        report = _run(
            self.path, options.rootpath / "runs", options.getoption("--nines-runtime"), self.seed,
            options.getoption("--nines-system-version"), _usual_history(options),
        )  # fmt: skip
        self.user_properties.append(("nines_folder", report.folder))
        self.user_properties.append(("nines_verdict", report.verdict))
        self.add_report_section("call", "nines", _text(report))
        _require(report, _unknown(options))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None) -> str:  # noqa: ARG002
        """A wrong verdict and bad input need no traceback; of a bug of ours the run folder has it."""
        from chaos.core.errors import NinesError

        if isinstance(excinfo.value, WrongVerdict | NinesError):
            return str(excinfo.value)
        if isinstance(excinfo.value, pytest.fail.Exception | pytest.skip.Exception):
            return str(super().repr_failure(excinfo))
        from chaos.api import BUG_FILE

        return (
            f"a bug in Nines: {type(excinfo.value).__name__}: {excinfo.value}\nthe traceback is in {BUG_FILE} of the run folder under runs/"
        )

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
    """The seed; None: the experiment's own. Of several on the command line the first."""
    seeds: list[int] | None = request.config.getoption("--nines-seed")
    return seeds[0] if seeds else None


@pytest.fixture
def nines_folder(tmp_path: Path) -> Path:
    """The folder under which run folders are made."""
    return tmp_path / "runs"


@pytest.fixture
def nines_history(request: pytest.FixtureRequest) -> Path | None:
    """The history that runs are entered into: ``runs/history.db`` of pytest's root folder, or what ``NINES_HISTORY`` names."""
    return _usual_history(request.config)


@pytest.fixture
def nines_system_version(request: pytest.FixtureRequest) -> str | None:
    """The version of the system under test; None: ``NINES_SYSTEM_VERSION``, else a hash of its target."""
    version: str | None = request.config.getoption("--nines-system-version")
    return version


@pytest.fixture
def nines_unknown(request: pytest.FixtureRequest) -> str:
    """What an unknown verdict is: ``fail``, ``skip`` or ``pass``."""
    return _unknown(request.config)


@pytest.fixture
def nines_run_experiment(
    nines_runtime: str | None, nines_seed: int | None, nines_folder: Path, nines_history: Path | None, nines_system_version: str | None,
    nines_unknown: str,
) -> Callable[..., Report]:  # fmt: skip
    """A function: an experiment's path, or its text -> its report. Raises ``NinesError`` if it could not be run.

    A run whose verdict is unknown fails the test there and then, whatever it would have asked of the report: figures of such a run
    prove nothing. ``nines_run_experiment(source, unknown="pass")`` (or ``"skip"``, ``--nines-unknown``, the ini option ``nines_unknown``,
    the fixture of that name) asks for the report all the same. ``seed=`` and ``runtime=`` win over the fixtures.
    """
    numbers = itertools.count(1)

    def run(source: Source, unknown: str | None = None, *, seed: int | None = None, runtime: str | None = None) -> Report:
        folder = nines_folder / str(next(numbers))
        report = _run(source, folder, runtime or nines_runtime, nines_seed if seed is None else seed, nines_system_version, nines_history)
        if report.verdict == "unknown" and report.expect_verdict != "unknown":
            _answer_unknown(report, unknown or nines_unknown)
        return report

    return run


@pytest.fixture
def nines_verdict(nines_run_experiment: Callable[..., Report], nines_unknown: str) -> Callable[[Source | Report], Report]:
    """A function: runs the experiment (or takes its report) and fails the test unless the verdict is the expected one."""

    def require(source: Source | Report) -> Report:
        report = nines_run_experiment(source, unknown="pass") if isinstance(source, str | Path) else source
        try:
            _require(report, nines_unknown)
        except WrongVerdict as wrong:
            pytest.fail(str(wrong), pytrace=False)
        return report

    return require


@pytest.fixture
def nines_cluster_experiment(request: pytest.FixtureRequest) -> str:
    """The experiment whose cluster the fixture ``nines_cluster`` starts, as YAML; made from the marker ``nines_cluster``."""
    import json

    marker = request.node.get_closest_marker("nines_cluster")
    if marker is None:
        raise pytest.UsageError(
            "the fixture 'nines_cluster' needs @pytest.mark.nines_cluster(target=...), or your own fixture 'nines_cluster_experiment'"
        )
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
def nines_cluster(
    nines_cluster_experiment: str, nines_runtime: str | None, nines_folder: Path, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A cluster that is up and ready, without traffic or faults; taken down after the test."""
    from chaos.api import new_folder, order_text
    from chaos.core.clock import ManualClock, MonotonicClock
    from chaos.core.plugins import find
    from chaos.run.leftovers import refuse_leftovers
    from chaos.run.manual.session import standing
    from chaos.run.signals import Interruption

    ordered: Ordered = order_text(nines_cluster_experiment, request.path, runtime=nines_runtime)
    virtual = ordered.plan.virtual
    if not virtual:
        refuse_leftovers()
    folder, runtime = new_folder("cluster", nines_folder), find("runtimes", ordered.plan.runtime)()
    clock = ManualClock() if virtual else MonotonicClock()
    with standing(ordered.plan, ordered.target, ordered.text, folder, runtime, clock, Interruption()) as up:
        yield up.cluster


class _ShortNames:
    """The same fixtures under short names. A suite's own fixture of such a name comes before; an ini option leaves all of them out."""

    @pytest.fixture
    def run_experiment(self, nines_run_experiment: Callable[..., Report]) -> Callable[..., Report]:
        """Short for ``nines_run_experiment``."""
        return nines_run_experiment

    @pytest.fixture
    def verdict(self, nines_verdict: Callable[..., Report]) -> Callable[..., Report]:
        """Short for ``nines_verdict``."""
        return nines_verdict

    @pytest.fixture
    def cluster(self, nines_cluster: Cluster) -> Cluster:
        """Short for ``nines_cluster``."""
        return nines_cluster


# --- what they share ---------------------------------------------------------------------------------------------------


def _run(source: Source, folder: Path, runtime: str | None, seed: int | None, system_version: str | None, history: Path | None) -> Report:
    from chaos.api import new_folder, order, order_text, perform

    if isinstance(source, str) and "\n" in source:
        ordered = order_text(source, Path("experiment.yaml"), runtime=runtime, seed=seed, system_version=system_version)
    else:
        ordered = order(Path(source), runtime=runtime, seed=seed, system_version=system_version)
    return perform(ordered, new_folder(ordered.experiment.name, folder), history=history)


def _usual_history(config: pytest.Config) -> Path | None:
    """None: ``perform`` goes by the environment."""
    return None if os.environ.get("NINES_HISTORY") else config.rootpath / "runs" / "history.db"


def _require(report: Report, unknown: str) -> None:
    if report.verdict == report.expect_verdict:
        return
    if report.verdict == "unknown" and unknown != "fail":
        _answer_unknown(report, unknown)
        return
    raise WrongVerdict(_told(report))


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

    if answer == "skip":
        pytest.skip(terminal(f"unknown: {'; '.join(report.reasons)}"))
    if answer != "pass":
        pytest.fail(_told(report), pytrace=False)


def _told(report: Report) -> str:
    """Of a verdict that is not the expected one: its sentence, the objectives that are not met, and the two tables that matter."""
    from chaos.core.escaping import terminal
    from chaos.report import table, tables
    from chaos.report.headline import line

    missed = [objective for objective in report.objectives if objective.verdict != "pass"]
    shown = [tables.objectives(_only_with(report, missed))] if missed else []
    shown += [tables.classes(report), tables.checks(report, held=False)]
    expected = f"verdict {report.verdict}, expected {report.expect_verdict}"
    if report.verdict == "unknown":
        expected = f"the verdict of {report.experiment} is unknown: {'; '.join(report.reasons)}"
    parts = [terminal(line(report)), terminal(expected), *(table.text(each) for each in shown if each.rows)]
    return "\n\n".join([*parts, terminal(f"The whole report: nines report {report.folder}")])


def _only_with(report: Report, objectives: list[Objective]) -> Report:
    """The report with these objectives alone."""
    import msgspec

    return msgspec.structs.replace(report, objectives=objectives)


def _text(report: Report) -> str:
    from chaos.report.formats.text import render

    return render(report)


def _first_operation(target: str, beside: Path) -> str:
    from chaos.experiment.target.load import load_target

    return next(iter(load_target(target, beside=beside.parent).operations))
