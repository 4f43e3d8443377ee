"""The arguments of each verb of ``nines``: a function a verb, and those that verbs share."""

from __future__ import annotations

import argparse


def runtime(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    parser.add_argument(
        "--runtime", default=default, metavar="NAME", help="auto, local, docker, kubernetes or fake; default: the experiment's"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="override the experiment's seed")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="override a value of the file: cluster.nodes=5; may be repeated"
    )


def json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable, on standard output")


def verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="print the story and all tables before the summary")


def folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", help="a run: its folder, the begin of its name, or latest")


def system_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--system-version",
        metavar="WORD",
        help="version of the system under test, e.g. the commit; default: NINES_SYSTEM_VERSION, else a hash of target and images",
    )


def run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE.yaml", help="one or more experiments, run one after the other")
    runtime(parser)
    json(parser)
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--markdown", metavar="FILE", help="write a Markdown summary")
    parser.add_argument("--html", metavar="FILE", help="write the HTML report there too (the run folder always has it)")
    parser.add_argument("--folder", metavar="DIR", help="the run folder; default: runs/<experiment>-<time>-<id>")
    system_version(parser)
    parser.add_argument("--no-faults", action="store_true", help="send traffic only, inject no fault")
    parser.add_argument(
        "--until-decided",
        action="store_true",
        help="repeat the faults until the confidence-level objectives (or else the agreement) are decided",
    )
    parser.add_argument("--max", default=None, metavar="TIME", help="with --until-decided: time limit (default: 15m)")
    parser.add_argument("--metrics-port", type=int, metavar="N", help="serve metrics for Prometheus while the run goes on")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress; print only the verdict")
    verbose(parser)


def plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml")
    runtime(parser)
    json(parser)


def predict(parser: argparse.ArgumentParser) -> None:
    plan(parser)
    parser.add_argument("--window", metavar="TIME", help="the time window for production figures, e.g. 30d; default: the SLO's")
    parser.add_argument("--sweep", action="append", metavar="NAME=LEVELS", help="compare levels: nodes=1..9, restart=1s,5s; twice for two")
    parser.add_argument("--cost-per-node", type=float, metavar="N", help="with --sweep: cost of one node, in any currency")
    parser.add_argument("--html", metavar="FILE", help="with --sweep: write table and chart as an HTML page")
    parser.add_argument("--throughput", metavar="FILE", help="instead: fit measured throughput at several numbers of nodes")
    parser.add_argument("--simulate", action="store_true", help="instead: simulate FILE.yaml, a fleet in zones and regions, over years")
    parser.add_argument("--years", type=float, metavar="N", help="with --simulate: how long each replication lives; default: the file's")
    parser.add_argument("--replications", type=int, metavar="N", help="with --simulate: how many; default: the file's")
    parser.add_argument("--processes", type=int, metavar="N", help="with --simulate: spread over so many; default: one a core")
    parser.add_argument("--dask", metavar="ADDRESS", help="with --simulate: spread over a Dask cluster, e.g. tcp://host:8786")


def formulas(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", default="en", choices=["en", "zh"], help="English or Chinese")
    json(parser)


def validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE.yaml")
    runtime(parser)
    parser.add_argument(
        "--schema",
        nargs="?",
        const="experiment",
        choices=["experiment", "target", "fleet"],
        help="instead: print the JSON Schema of these files",
    )


def judge(parser: argparse.ArgumentParser) -> None:
    folder(parser)
    json(parser)
    verbose(parser)


def report(parser: argparse.ArgumentParser) -> None:
    folder(parser)
    parser.add_argument("--format", metavar="NAME", help="text (all tables), json, junit, markdown, html or notebook; default: a summary")
    parser.add_argument("--lang", default="en", choices=["en", "zh"], help="with --format html: English or Chinese headings and labels")
    verbose(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of standard output")


def history(parser: argparse.ArgumentParser) -> None:
    folder(parser)
    json(parser)
    parser.add_argument("--all", action="store_true", help="include the prober's summary of every second")


def runbook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml")
    runtime(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file; a name that ends in .html gives HTML")


def gameday(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE.yaml", help="start a game day of this experiment")
    runtime(parser)
    parser.add_argument("--resume", nargs="?", const="", metavar="RUN", help="instead: open a terminal on a game day that goes on")
    parser.add_argument("--review", metavar="RUN", help="instead: write the review of a run folder again, and show it")
    parser.add_argument("--who", metavar="NAME", help="your name in the records; default: the user's name")
    parser.add_argument("--folder", metavar="DIR", help="the run folder; default: runs/<experiment>-<time>-<id>")
    parser.add_argument("--most", default="2h", metavar="TIME", help="the run holds for at most so long in all; default: 2h")
    parser.add_argument("--as-host", metavar="DIR", help=argparse.SUPPRESS)


def init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", default="experiment.yaml", metavar="FILE.yaml", help="default: experiment.yaml")
    parser.add_argument("--target", default="replicated_kv", metavar="NAME", help="a target by name or folder")
    parser.add_argument("--compose", metavar="FILE", help="instead: for the services of a Compose project")
    of_project(parser)


def of_project(parser: argparse.ArgumentParser) -> None:
    """What ``try`` and ``init --compose`` ask of a Compose project."""
    parser.add_argument("-f", dest="also", action="append", default=[], metavar="FILE", help="a further compose file; may be repeated")
    parser.add_argument("--profile", action="append", default=[], metavar="NAME", help="an active profile; may be repeated")
    parser.add_argument("-p", "--project-name", metavar="NAME", help="the project's name; default: as Compose finds it")
    parser.add_argument(
        "--service", action="append", default=[], metavar="NAME",
        help="a service to harm, by name or pattern; several are members of one cluster; default: the one that the probe names",
    )  # fmt: skip
    parser.add_argument(
        "--probe", metavar="URL", help="what clients ask: http://web:8080/, tcp://cache:6379, or with {address} as the host: each container"
    )
    parser.add_argument("--send", metavar="TEXT", help="with tcp: what clients send, e.g. 'PING\\r\\n'")
    parser.add_argument("--expect", metavar="TEXT", help="with tcp: the answer that must come, e.g. +PONG")
    parser.add_argument("--network", metavar="NAME", help="the network on which clients are, if the containers share several")
    parser.add_argument("--availability", default="99%", metavar="SHARE", help="what the run must reach, faults included; default: 99%%")
    parser.add_argument("--quick", action="store_true", help="each kind of fault once, not twice")


def try_(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("compose_file", nargs="?", metavar="FILE", help="a compose file or its folder; default: as Compose finds it")
    of_project(parser)
    parser.add_argument("--kubernetes", metavar="NAMESPACE/SERVICE", help="instead: the pods behind a Service of a Kubernetes cluster")
    parser.add_argument("--context", metavar="NAME", default="", help="with --kubernetes: of the kubeconfig; default: the current one")
    parser.add_argument("--save", metavar="FILE.yaml", help="keep the experiment that was run")
    parser.add_argument("--folder", metavar="DIR", help="the run folder; default: runs/<experiment>-<time>-<id>")
    parser.add_argument("--seed", type=int, metavar="N", help="fixes all times and draws")
    json(parser)


def image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tag", metavar="NAME", help="what the image is called; default: chaos-nines, or nines-target-TARGET")
    parser.add_argument(
        "--for",
        dest="of",
        action="append",
        default=[],
        metavar="TARGET",
        help="with the client libraries that this target's drivers import, as installed here; may be repeated",
    )
    parser.add_argument("--target", metavar="TARGET", help="instead of Nines: what the nodes of this target run in")
    parser.add_argument("--part", metavar="PART", help="with --target: of this part, where parts differ")


def calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="RUN", help="run folders with the same target and configuration")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of standard output")


def kept(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--history", metavar="FILE", help="the history to read; default: NINES_HISTORY, else runs/history.db")


def runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="NAME", help="only runs whose name begins so")
    parser.add_argument("--experiment", metavar="NAME", help="only runs of this experiment")
    parser.add_argument("--version", metavar="WORD", help="only runs of a version of the system that begins so")
    parser.add_argument("--target", metavar="NAME", help="only runs of this target")
    parser.add_argument("--runtime", metavar="NAME", help="only runs on this runtime")
    parser.add_argument(
        "--state", metavar="WORD", help="only runs that came to this: pass, fail, inconclusive, invalid, aborted, interrupted"
    )
    parser.add_argument("--since", metavar="TIME", help="only runs of that time, e.g. 7d")
    parser.add_argument("-n", "--newest", type=int, default=20, metavar="N", help="at most so many, the newest; default: 20")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--trend", action="store_true", help="instead of the list: what all runs of that configuration show together")
    parser.add_argument("--html", metavar="FILE", help="instead: write list and pictures as an HTML page")
    parser.add_argument("--svg", metavar="FILE", help="instead: write the picture of the first fault class")
    parser.add_argument("--add", nargs="+", default=[], metavar="RUN", help="instead: enter run folders that are not in the history")
    parser.add_argument("--merge", nargs="+", default=[], metavar="FILE", help="instead: take over the runs of other histories")
    kept(parser)
    json(parser)


def margin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--margin", type=float, default=1.3, metavar="FACTOR", help="how much worse is still no worse; default: 1.3 times")


def compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="a run, a version of the system, previous, all, or a name that git knows")
    parser.add_argument("new", nargs="?", default="latest", metavar="NEW", help="the same; default: latest")
    margin(parser)
    parser.add_argument("--markdown", metavar="FILE", help="write the table as Markdown, too")
    kept(parser)
    json(parser)


def gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="experiments, and folders of experiments")
    parser.add_argument("--against", metavar="REF", help="compare with a version, previous, all, a run, or a name that git knows (main)")
    margin(parser)
    parser.add_argument(
        "--unknown", choices=["fail", "pass"], default="fail", help="what cannot be told: fail (exit status 3; default) or pass"
    )
    parser.add_argument("--junit", metavar="FILE", help="write one JUnit XML file")
    parser.add_argument("--markdown", metavar="FILE", help="write a Markdown summary; GITHUB_STEP_SUMMARY gets it, too")
    runtime(parser)
    system_version(parser)
    parser.add_argument("--folder", metavar="DIR", help="the folder of the run folders; default: runs/<experiment>-<time>-<id>")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    json(parser)
    parser.set_defaults(metrics_port=None)


def explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", nargs="?", metavar="WORD", help="a term; without one: list all terms")


def doctor(parser: argparse.ArgumentParser) -> None:
    json(parser)
    parser.add_argument("--faults", action="store_true", help="instead: list which fault works on which runtime")
    parser.add_argument(
        "--kubernetes", nargs="?", const="default", metavar="NAMESPACE",
        help="instead: check the cluster of the kubeconfig, and the rights in a namespace; default: 'default'",
    )  # fmt: skip
    parser.add_argument("--context", metavar="NAME", default="", help="with --kubernetes: of the kubeconfig; default: the current one")
    parser.add_argument("--rbac", action="store_true", help="with --kubernetes: print the manifest of the rights that a run needs")
    parser.add_argument("--own", action="store_true", help="with --kubernetes: to start a cluster of ours there, not to attach to pods")
    parser.add_argument(
        "--volumes", choices=("pods", "claims"), default="pods",
        help="with --own: where nodes have their data; 'claims' outlive the pods, and need a StorageClass; default: pods",
    )  # fmt: skip
    parser.add_argument("--user", metavar="NAME", default="", help="with --rbac: whose rights they are")
    parser.add_argument(
        "--guests", choices=("machines", "ephemeral"), default="machines",
        help="with --kubernetes: where the guests of a run stand that attaches; 'ephemeral' needs no privileged pod; default: machines",
    )  # fmt: skip
    parser.add_argument(
        "--hosts", action="store_true", help="with --kubernetes: also the rights for zones and drains, which are of the whole cluster"
    )


def stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="name or folder of the run")
    parser.add_argument("--within", type=float, default=60.0, metavar="S", help="how long to wait for the end, in seconds; default: 60")


def top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="name or folder of a run; default: all that are in progress")
    parser.add_argument("--once", action="store_true", help="print what goes on now, and end")


def fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="its name; without one: the list of those that wait")
    parser.add_argument("--folder", metavar="DIR", help="where to; default: runs/RUN")


def up(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml", help="an experiment; only its cluster is started")
    runtime(parser)
    parser.add_argument("--folder", metavar="DIR", help="folder for logs and history; default: runs/<experiment>-<time>-<id>")


def inject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fault", metavar="FAULT", help="kind of the fault, e.g. kill, pause, partition, latency")
    parser.add_argument(
        "--to",
        metavar="SELECTOR",
        help="target selector, as in an experiment: n2, leader, '[n1, n2]', 'clients -> n2'; or a container name",
    )
    parser.add_argument("--for", dest="lasts", required=True, metavar="TIME", help="maximum duration, e.g. 10s")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="set a field of the fault; may be repeated")
    parser.add_argument("--run", metavar="RUN", help="name or folder of a cluster started by 'nines up'; default: the only one")
    parser.add_argument("--attach", metavar="label=WORD", help="running containers, selected by label: label=app=web")
    parser.add_argument("--compose", metavar="PROJECT", help="containers of a compose project, by name or file")
    parser.add_argument("--kubernetes", metavar="NAMESPACE/SERVICE", help="the pods behind a Service of a Kubernetes cluster")
    parser.add_argument("--context", metavar="NAME", default="", help="with --kubernetes: of the kubeconfig; default: the current one")
    parser.add_argument(
        "--service", action="append", default=[], metavar="NAME", help="with --compose: one of its services; may be repeated"
    )
    parser.add_argument(
        "--ask", action="append", default=[], metavar="[SERVICE=]URL",
        help="with what runs already: health check, http://{address}:8080/ or tcp://{address}:6379; default: its process runs",
    )  # fmt: skip
    parser.add_argument("--send", default="", metavar="TEXT", help="with --ask tcp://...: what is sent, e.g. 'PING\\r\\n'")
    parser.add_argument("--expect", default="", metavar="TEXT", help="with --ask tcp://...: the answer that must come, e.g. +PONG")
    parser.add_argument(
        "--port", type=int, action="append", default=[], metavar="N", help="another port on which the containers listen; may be repeated"
    )
    parser.add_argument("--network", metavar="NAME", help="with --attach and --compose: the network, if the containers share several")
    parser.add_argument("--folder", metavar="DIR", help="with what runs already: directory for the injection log")
    parser.add_argument("--yes", action="store_true", help="with what runs already: inject without asking for confirmation")
    json(parser)


def explore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml", help="an experiment; its faults are the kinds to draw from (default: common ones)")
    runtime(parser)
    parser.add_argument("--for", dest="lasts", default="10m", metavar="TIME", help="how long to search; default: 10m")
    parser.add_argument("--schedules", type=int, default=1_000_000, metavar="N", help="at most so many schedules")
    parser.add_argument("--most-faults", type=int, default=4, metavar="N", help="faults of one schedule; default: 4")
    parser.add_argument("--length", default="15s", metavar="TIME", help="faults of a schedule begin within this time; default: 15s")
    parser.add_argument("--kinds", metavar="KIND,KIND", help="draw these kinds of faults instead")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes in virtual time; default: 2")
    parser.add_argument("--folder", metavar="DIR", help="the folder of the search; default: runs/explore-<experiment>-<time>-<id>")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the found experiment there too")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    json(parser)


def heal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--orphans", action="store_true", help="also remove containers, networks and volumes of dead runs without a record")
    parser.add_argument("--images", action="store_true", help="also remove images that other versions of Nines built for themselves")
    parser.add_argument(
        "--forget", metavar="RUN", help="instead: drop the record of a run that cannot be cleaned up, and list what it may have left"
    )
    json(parser)


def metrics(parser: argparse.ArgumentParser) -> None:
    folder(parser)
    parser.add_argument("--openmetrics", action="store_true", help="OpenMetrics text instead of Prometheus' own text format")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file, all at once (for node_exporter's textfile collector)")
    parser.add_argument("--port", type=int, metavar="N", help="instead: serve /metrics over HTTP until Ctrl-C, also while the run goes on")
    parser.add_argument("--address", default="127.0.0.1", metavar="ADDRESS", help="with --port: where to listen; default: 127.0.0.1")


def export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="DIR", help="a run folder; without one: list the formats")
    parser.add_argument("format", nargs="?", metavar="FORMAT", help="events, bulk, annotations, dashboard, trace, series, openmetrics, ...")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of standard output")


def rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.yaml", help="an experiment with an slo")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="override a value of the file: slo.window=7d; may be repeated"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of standard output")
    parser.add_argument("--scrape", default="15s", metavar="TIME", help="how often Prometheus scrapes; default: 15s")
    parser.add_argument("--evaluate", default="15s", metavar="TIME", help="how often Prometheus evaluates the rules; default: 15s")
    parser.add_argument("--bad", metavar="SELECTOR", help="your own counter of failed requests, e.g. 'http_requests_total{code=~\"5..\"}'")
    parser.add_argument("--all", metavar="SELECTOR", help="with --bad: your own counter of all requests")
    parser.add_argument("--try", dest="trial", nargs="+", metavar="RUN", help="instead: test the rules with promtool against recorded runs")
    parser.add_argument("--tests", metavar="DIR", help="with --try: write there rules and tests that 'promtool test rules' passes")


def check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a run folder, or a folder of run folders: then the newest judged run")
    parser.add_argument("--experiment", metavar="NAME", help="only runs of this experiment")
    parser.add_argument("--max-age", metavar="TIME", help="warn if the run is older, e.g. 8d")


def help_(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("about", nargs="?", metavar="VERB", help="a verb; without one: list them")


def completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "fish", "tcsh", "powershell"], help="the shell")
