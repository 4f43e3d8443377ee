"""The command ``nines``: a table of verbs, each of which is one library call on files. No logic lives here.

Nothing heavy is imported until a verb is chosen: ``nines --help`` is to cost little more than starting Python.
Data goes to standard output, progress and errors to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

Arguments = Callable[[argparse.ArgumentParser], None]

EXITS: Final = """exit status:
  0 objectives met            4 aborted by a safety condition
  1 objectives missed         5 environment not usable, or leftovers of an earlier run
  2 usage or file error       6 could not prove that every fault was removed
  3 unknown                  70 a bug in the harness      130 / 143 interrupted, undo completed"""


class Verb(NamedTuple):
    """One word of the command line: what it does, its arguments, and where its function is."""

    about: str
    function: str
    arguments: Arguments


def _runtime(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument("--runtime", default=default, metavar="NAME", help="auto, local, docker or fake; default: what the experiment says")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the experiment's own")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable, on standard output")


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a run folder")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE.yaml", help="one or more experiments, run one after the other")
    _runtime(parser)
    _json(parser)
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="write a Markdown summary")
    parser.add_argument("--html", metavar="FILE", help="write the HTML report there too (the run folder has it anyway)")
    parser.add_argument("--folder", metavar="DIR", help="the run folder; default: runs/<experiment>-<time>-<id>")
    parser.add_argument("--no-faults", action="store_true", help="traffic only: nothing is broken")
    parser.add_argument(
        "--until-decided", action="store_true", help="further rounds of the faults until the claims (or else the agreement) are decided"
    )
    parser.add_argument("--max", default=None, metavar="TIME", help="with --until-decided: at most so long, such as 15m (default)")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, and of the report only the verdict")


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml")
    _runtime(parser)
    _json(parser)


def _predict(parser: argparse.ArgumentParser) -> None:
    _plan(parser)
    parser.add_argument("--window", metavar="TIME", help="the window of production to speak of, such as 30d; default: the SLO's")
    parser.add_argument("--sweep", action="append", metavar="NAME=LEVELS", help="compare levels: nodes=1..9, restart=1s,5s; twice for two")
    parser.add_argument("--cost-per-node", type=float, metavar="N", help="with --sweep: what one node costs, in any currency")
    parser.add_argument("--html", metavar="FILE", help="with --sweep: the table and the picture as a page")
    parser.add_argument("--throughput", metavar="FILE", help="fit measured throughput at several numbers of nodes instead")


def _formulas(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", default="en", choices=["en", "zh"], help="English or Chinese")
    _json(parser)


def _validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE.yaml")
    _runtime(parser)
    parser.add_argument(
        "--schema", nargs="?", const="experiment", choices=["experiment", "target"], help="print the JSON Schema of such files instead"
    )


def _judge(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    _json(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument("--format", default="text", metavar="NAME", help="text (default), json, junit, markdown or html")
    parser.add_argument("-o", "--output", metavar="FILE", help="instead of standard output")


def _history(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    _json(parser)
    parser.add_argument("--all", action="store_true", help="also the prober's summary of every second")


def _runbook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml")
    _runtime(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="instead of standard output")


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="experiment.yaml", metavar="FILE.yaml", help="default: experiment.yaml")
    parser.add_argument("--target", default="replicated_kv", metavar="NAME", help="a target by name or folder")


def _calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="RUN", help="run folders of one target, one configuration")
    parser.add_argument("-o", "--output", metavar="FILE", help="instead of standard output")


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", nargs="?", metavar="WORD", help="without one: the list of words")


def _doctor(parser: argparse.ArgumentParser) -> None:
    _json(parser)
    parser.add_argument("--faults", action="store_true", help="instead: which fault each runtime can do, and why not")


def _stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="its name, or its folder")
    parser.add_argument("--within", type=float, default=60.0, metavar="S", help="how long to wait for its end; default: 60")


def _fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="its name; without one: the list of those that wait")
    parser.add_argument("--folder", metavar="DIR", help="where to; default: runs/RUN")


def _up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml", help="an experiment; only its cluster is brought up")
    _runtime(parser)
    parser.add_argument("--folder", metavar="DIR", help="where its logs and history go; default: runs/<experiment>-<time>-<id>")


def _inject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fault", metavar="FAULT", help="its kind, such as kill, pause, partition or latency")
    parser.add_argument(
        "--to", metavar="SELECTOR", help="as 'target' in an experiment: n2, leader, '[n1, n2]', 'clients -> n2'; or a container's name"
    )
    parser.add_argument("--for", dest="lasts", required=True, metavar="TIME", help="its limit, such as 10s: healed then at the latest")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="a field of the fault; may be repeated")
    parser.add_argument("--run", metavar="RUN", help="a cluster of 'nines up', by name or folder; default: the only one there is")
    parser.add_argument("--attach", metavar="label=WORD", help="containers that run already, by their label: label=app=web")
    parser.add_argument("--compose", metavar="PROJECT", help="containers of a compose project, by its name or its file")
    parser.add_argument("--service", action="append", default=[], metavar="NAME", help="with --compose: which of its services")
    parser.add_argument("--ask", metavar="URL", help="with --attach and --compose: what shows that one answers: http://{address}:8080/")
    parser.add_argument(
        "--port", type=int, action="append", default=[], metavar="N", help="another port where they listen; may be repeated"
    )
    parser.add_argument("--folder", metavar="DIR", help="with --attach and --compose: where what is done is noted")
    parser.add_argument("--yes", action="store_true", help="with --attach and --compose: on a terminal, do not ask before the fault")
    _json(parser)


def _heal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--orphans", action="store_true", help="also containers, networks and volumes of runs without a record whose harness is dead"
    )
    parser.add_argument("--forget", metavar="RUN", help="instead: name what may be left of a run that cannot be healed, and forget it")
    _json(parser)


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """A verb without arguments."""


VERBS: Final[dict[str, Verb]] = {
    "run": Verb("run experiments: break, measure, judge", "chaos.cli.run:run", _run),
    "plan": Verb("show what a run would do, when, to whom; changes nothing", "chaos.cli.files:plan", _plan),
    "validate": Verb("check experiment files, say what is wrong and where", "chaos.cli.files:validate", _validate),
    "predict": Verb("what the model expects of a run, without a cluster", "chaos.cli.files:predict", _predict),
    "formulas": Verb("the articles' formulas: as printed, what they mean, corrected", "chaos.cli.models:formulas", _formulas),
    "runbook": Verb("a game-day page in Markdown that people can follow", "chaos.cli.files:runbook", _runbook),
    "init": Verb("write a first experiment to start from", "chaos.cli.files:init", _init),
    "judge": Verb("judge a run folder again, without a cluster", "chaos.cli.folders:judge", _judge),
    "report": Verb("show a run's report in another form", "chaos.cli.folders:report", _report),
    "calibrate": Verb("measure in runs what the models need, for the prediction of other runs", "chaos.cli.folders:calibrate", _calibrate),
    "history": Verb("what happened in a run, row by row", "chaos.cli.folders:history", _history),
    "up": Verb("bring an experiment's cluster up and hold it for faults by hand", "chaos.cli.inject:up", _up),
    "down": Verb("end a cluster that is up", "chaos.cli.inject:down", _stop),
    "status": Verb("what goes on on this machine", "chaos.cli.inject:status", _json),
    "inject": Verb("do one fault by hand, with a limit in time", "chaos.cli.inject:inject", _inject),
    "stop": Verb("ask a run that goes on to heal, save, judge and end", "chaos.cli.machine:stop", _stop),
    "fetch": Verb("bring what a run measured on an engine elsewhere, whose command here died", "chaos.cli.fetch:fetch", _fetch),
    "leftovers": Verb("list what earlier runs left behind", "chaos.cli.machine:leftovers", _json),
    "heal": Verb("remove what earlier runs left behind", "chaos.cli.machine:heal", _heal),
    "doctor": Verb("check this machine: what works, what is missing, how to get it", "chaos.cli.machine:doctor", _doctor),
    "targets": Verb("the systems that can be started by name", "chaos.cli.machine:targets", _json),
    "explain": Verb("what a word means here", "chaos.cli.glossary:explain", _explain),
    "version": Verb("which version this is, and of what it is made", "chaos.cli.machine:version", _json),
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="nines",
        description="Break a replicated cluster on schedule, measure what clients saw, hold it against a prediction.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.about, description=f"{verb.about[0].upper()}{verb.about[1:]}.", allow_abbrev=False)
        verb.arguments(added)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    arguments = parser().parse_args(argv)
    arguments.argv = list(sys.argv[1:] if argv is None else argv)
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
