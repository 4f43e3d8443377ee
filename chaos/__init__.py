"""Nines: start a replicated cluster behind DNS, break it on schedule, measure what clients see, hold the measurement against a model.

    >>> import chaos
    >>> experiment = chaos.load("experiments/quickstart.yaml", runtime="fake", seed=7)
    >>> chaos.predict(experiment).mttr_s            # what the model expects: nothing is started
    >>> report = chaos.run(experiment)              # start, break, measure, judge; writes a run folder
    >>> report.verdict, report.observed.mttr_s
    >>> report.to_frame("outages")                  # a table for pandas or polars

What there is:

    load(source)       an experiment from a file or from YAML text, checked and planned     -> Experiment
    plan(source)       every time, every random draw, every victim, before anything starts  -> Plan
    predict(source)    what the model expects of that run, and of production                 -> Predicted
    run(source)        carry the plan out, judge it, write the reports                       -> Report
    read(folder)       the report of an earlier run, as it was written                       -> Report
    judge(folder)      judge an earlier run again from its files, without a cluster          -> Report
    inject(fault)      one fault, now, into a cluster that `nines up` holds                  -> Injection

    Experiment, Plan, Predicted, Report, Injection      what these return
    Estimate                                            a figure with interval, n, method; compares with numbers
    NinesError, NoValue                                 what is raised; each NinesError has an exit_code

Each `source` is a path, a YAML text, or what `load` returned. A report shows itself in a notebook. Times are in seconds, and their names
end in `_s`; shares are between 0 and 1. A figure that could not be told is None and has a `reason`; it is never NaN and never 100 %.

The command `nines` does the same from a shell; pytest has the fixtures `run_experiment`, `verdict` and `cluster`. docs/python.md has more.

`plan`, `predict`, `run` and `judge` are packages of this library as well: `chaos.plan(...)` is a call, `from chaos.plan.plan import Plan`
an import.
"""

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from chaos.core.errors import NinesError
    from chaos.interface import Experiment, inject, judge, load, plan, predict, read, run
    from chaos.plan.plan import Plan
    from chaos.results.observed import Estimate, NoValue
    from chaos.results.predicted import Predicted
    from chaos.results.report import Report
    from chaos.run.manual.injection import ByHand as Injection

    __version__: str

__all__ = [
    "Estimate",
    "Experiment",
    "Injection",
    "NinesError",
    "NoValue",
    "Plan",
    "Predicted",
    "Report",
    "inject",
    "judge",
    "load",
    "plan",
    "predict",
    "read",
    "run",
]

_WHERE = {
    "Estimate": "chaos.results.observed:Estimate",
    "Experiment": "chaos.interface:Experiment",
    "Injection": "chaos.run.manual.injection:ByHand",
    "NinesError": "chaos.core.errors:NinesError",
    "NoValue": "chaos.results.observed:NoValue",
    "Plan": "chaos.plan.plan:Plan",
    "Predicted": "chaos.results.predicted:Predicted",
    "Report": "chaos.results.report:Report",
    "inject": "chaos.interface:inject",
    "load": "chaos.interface:load",
    "read": "chaos.interface:read",
    "__version__": "chaos.core.version:VERSION",
}
_PACKAGES = ("judge", "plan", "predict", "run")


def _found(where: str) -> object:
    import importlib

    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name) if name else importlib.import_module(module)


def __getattr__(name: str) -> object:
    """Each name is imported when it is first asked for: ``import chaos`` costs nothing."""
    where = _WHERE.get(name) or (f"chaos.{name}" if name in _PACKAGES else "")
    if not where:
        raise AttributeError(f"module 'chaos' has no attribute '{name}'")
    return _found(where)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


class _Verb(ModuleType):
    """A package that is called as well: ``chaos.plan("x.yaml")`` plans, ``chaos.plan.plan`` is a module in it."""

    def __call__(self, *positional: object, **named: object) -> object:
        return self._function(*positional, **named)  # type: ignore[operator]

    @property
    def _function(self) -> object:
        return _found(f"chaos.interface:{self.__name__.rpartition('.')[2]}")

    @property
    def __signature__(self) -> object:
        import inspect

        return inspect.signature(self._function)  # type: ignore[arg-type]


class _Door(ModuleType):
    """This package: the import system hangs each sub-package on it, and those that are verbs become callable then."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _PACKAGES and type(value) is ModuleType:
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
