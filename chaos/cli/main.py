"""The command ``nines``: a table of verbs, each of which is one library call on files. No logic lives here.

Nothing heavy is imported until a verb is chosen: ``nines --help`` is to cost little more than starting Python.
Data goes to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, cast

from chaos.cli import options
from chaos.core.columns import fitting, width_of

Arguments = Callable[[argparse.ArgumentParser], None]

EXITS: Final = """exit status:
  0    objectives met
  1    objectives missed
  2    usage or file error
  3    undecided, or an invalid run
  4    aborted by a safety condition
  5    environment not usable, or leftovers of an earlier run
  6    a fault could not be verified as rolled back
  70   a bug in Nines
  130, 143   interrupted; faults rolled back"""


USAGE: Final = 2
PLUGIN_UNKNOWN: Final = 3


class Verb(NamedTuple):
    """One word of the command line: what it does, its arguments, and where its function is."""

    about: str
    function: str
    arguments: Arguments


VERBS: Final[dict[str, Verb]] = {
    "run": Verb("run experiments: start, inject, measure, judge", "chaos.cli.run:run", options.run),
    "plan": Verb("show what a run would do, and what it can decide; starts nothing", "chaos.cli.files:plan", options.plan),
    "validate": Verb("check experiment files", "chaos.cli.files:validate", options.validate),
    "predict": Verb("show what the model predicts for a run and for production", "chaos.cli.files:predict", options.predict),
    "formulas": Verb("show the articles' formulas: as printed, and corrected", "chaos.cli.models:formulas", options.formulas),
    "runbook": Verb("write a game-day runbook in Markdown or HTML", "chaos.cli.files:runbook", options.runbook),
    "gameday": Verb("hold a game day: people lead an experiment step by step", "chaos.cli.gameday:gameday", options.gameday),
    "init": Verb("write a starter experiment", "chaos.cli.files:init", options.init),
    "metrics": Verb("show or serve the metrics of a run for Prometheus", "chaos.cli.monitoring:metrics", options.metrics),
    "rules": Verb("make alert rules from an SLO, or try them on recorded runs", "chaos.cli.monitoring:rules", options.rules),
    "check": Verb(
        "check a run as a Nagios plug-in: exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN", "chaos.cli.monitoring:check", options.check
    ),
    "export": Verb("write a run in the format of another tool", "chaos.cli.monitoring:export", options.export),
    "explore": Verb("search for faults that break an objective, and shrink what is found", "chaos.cli.explore:explore", options.explore),
    "try": Verb("give a first verdict on a Compose project, without any YAML", "chaos.cli.tryout:try_it", options.try_),
    "image": Verb("build Nines as a container image", "chaos.cli.image:image", options.image),
    "judge": Verb("judge a run folder again, without a cluster", "chaos.cli.folders:judge", options.judge),
    "report": Verb("show the report of a run in another format", "chaos.cli.folders:report", options.report),
    "gate": Verb("run many experiments, and compare with other versions: one verdict for CI", "chaos.cli.gate:gate", options.gate),
    "runs": Verb("list all runs, and what they show together", "chaos.cli.runs:runs", options.runs),
    "compare": Verb("hold two runs or versions of a system against each other", "chaos.cli.runs:compare", options.compare),
    "calibrate": Verb("fit model parameters from past runs", "chaos.cli.folders:calibrate", options.calibrate),
    "history": Verb("show what happened in a run, row by row", "chaos.cli.folders:history", options.history),
    "up": Verb("start an experiment's cluster and hold it for manual faults", "chaos.cli.inject:up", options.up),
    "down": Verb("stop a cluster started by 'nines up'", "chaos.cli.inject:down", options.stop),
    "status": Verb("show running experiments and clusters", "chaos.cli.inject:status", options.json),
    "top": Verb("follow running experiments: nodes, roles, faults, services", "chaos.cli.top:top", options.top),
    "inject": Verb("inject a single fault for a limited time", "chaos.cli.inject:inject", options.inject),
    "stop": Verb("stop a run: roll back faults, save results, write the report", "chaos.cli.machine:stop", options.stop),
    "fetch": Verb("bring what a run measured on an engine elsewhere, whose command here died", "chaos.cli.fetch:fetch", options.fetch),
    "leftovers": Verb("list what earlier runs left behind", "chaos.cli.machine:leftovers", options.json),
    "heal": Verb("remove what earlier runs left behind", "chaos.cli.machine:heal", options.heal),
    "doctor": Verb("check this machine: what works, what is missing, how to install it", "chaos.cli.machine:doctor", options.doctor),
    "targets": Verb("list the systems that can be started by name", "chaos.cli.machine:targets", options.json),
    "explain": Verb("explain a term", "chaos.cli.glossary:explain", options.explain),
    "help": Verb("show the help of a verb", "chaos.cli.ways_in:help_", options.help_),
    "completion": Verb("print a script that completes verbs and options in your shell", "chaos.cli.ways_in:completion", options.completion),
    "version": Verb("show the versions of Nines and its packages", "chaos.cli.machine:version", options.json),
}


class _Parser(argparse.ArgumentParser):
    """Says what was probably meant by a word that it does not know."""

    def error(self, message: str) -> NoReturn:
        """Usage, the message, and the nearest verb; exit 2."""
        found = re.match(r"argument VERB: invalid choice: '([^']*)'", message)
        if found:
            near = suggested(found[1], VERBS)
            message = f"there is no verb '{found[1]}'" + (f": did you mean '{near}'?" if near else "; 'nines help' lists them")
        super().error(message)


class _Version(argparse.Action):
    """Reads the version only if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from chaos.core.version import VERSION

        print(f"nines {VERSION}")
        parser.exit()


def suggested(word: str, known: Iterable[str]) -> str:
    """The nearest of the known words; empty where none is near."""
    import difflib

    return next(iter(difflib.get_close_matches(word[:200], list(known), n=1, cutoff=0.6)), "")


def verbs_of(top: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    action = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    return cast("Mapping[str, argparse.ArgumentParser]", action.choices)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; an option that its verb does not have is refused with the nearest one that it has."""
    top = parser()
    arguments, unknown = top.parse_known_args(argv)
    if unknown:
        verb = verbs_of(top)[arguments.verb]
        options = [option for action in verb._actions for option in action.option_strings]
        told = []
        for word in unknown:
            near = suggested(word.partition("=")[0], options) if word.startswith("-") else ""
            told.append(f"{word} (did you mean {near}?)" if near else word)
        verb.error(f"unrecognized arguments: {', '.join(told)}")
    return arguments


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="nines",
        description="Chaos experiments on replicated clusters: inject faults, measure what clients\nsee, compare with a prediction.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version of Nines and exit")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.about, description=f"{verb.about[0].upper()}{verb.about[1:]}.", allow_abbrev=False)
        verb.arguments(added)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    try:
        arguments = _parsed(argv)
    except SystemExit as end:
        words = sys.argv[1:] if argv is None else argv
        if end.code == USAGE and words[:1] == ["check"]:
            return PLUGIN_UNKNOWN  # a monitoring system would take 2 for a service that is down
        raise
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
    with fitting(width_of(sys.stdout, os.environ)):
        return _done(arguments)


def _done(arguments: argparse.Namespace) -> int:
    """The exit status of its verb, or of what went wrong, which is told."""
    module, _, name = VERBS[arguments.verb].function.partition(":")
    try:
        function: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), name)
        return function(arguments)
    except KeyboardInterrupt:
        print("nines: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    from pathlib import Path

    from chaos.core import storage
    from chaos.core.errors import EnvironmentUnusable, NinesError

    if isinstance(error, OSError) and storage.of_storage(error):
        error = EnvironmentUnusable(storage.why(error, Path(error.filename or ".").absolute()), how="free some space, or use another disk")
    if isinstance(error, NinesError):
        from chaos.cli.output import note

        note(f"nines: {error}")
        return error.exit_code
    import traceback

    traceback.print_exception(error)
    print("nines: this is a bug in Nines, not in what you wrote", file=sys.stderr)
    return 70


if __name__ == "__main__":
    raise SystemExit(main())
