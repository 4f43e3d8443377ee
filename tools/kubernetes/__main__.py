"""A real Kubernetes on this machine, for tests: ``python -m tools.kubernetes ...``.

    build                     its programs, kept in ~/.cache/nines/kubernetes by a hash of their sources
    up [--nodes 3]            a cluster, or the one that is up
    kubeconfig                the path of the kubeconfig: KUBECONFIG=$(python -m tools.kubernetes kubeconfig)
    load IMAGE...             onto all nodes: archives (.tar), or images of the Docker engine (DOCKER_HOST)
    power-off NODE            the node loses power            power-on NODE     it boots
    cut NODE                  its network carries nothing     mend NODE         it does again
    kubectl ARGUMENTS...      kubectl as the administrator
    run COMMAND...            a command with KUBECONFIG and kubectl; a cluster that is started for it ends with it
    down                      remove all of it

The cluster is in --folder, else $NINES_KUBERNETES, else ~/.cache/nines/kubernetes/cluster. It needs root, Go for the first build (12
minutes on two cores), and packages of Debian that are installed where they are missing. Only the API server is reached from this
machine: pods and nodes have no route. Hosts are namespaces of this very kernel: nothing in a pod may use the kernel's own switches
(/proc/sysrq-trigger), which are the machine's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from chaos.core.errors import NinesError
from tools.kubernetes import cluster as clusters
from tools.kubernetes import programs
from tools.kubernetes.places import layout

VERBS = ("build", "up", "kubeconfig", "load", "power-off", "power-on", "cut", "mend", "down", "guard")
VERBATIM = ("kubectl", "run")
"""What follows these is a command, whatever it looks like."""


def note(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr)


def main(arguments: Sequence[str]) -> int:
    """The exit status: that of the command, or of the error."""
    verb = next((number for number, word in enumerate(arguments) if word in VERBATIM), len(arguments))
    parser = argparse.ArgumentParser(prog="python -m tools.kubernetes", usage=__doc__, add_help=False)
    parser.add_argument("--folder")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--for", dest="until", type=int)
    parser.add_argument("do", choices=(*VERBS, *VERBATIM))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args(arguments[: verb + 1])
    command = list(arguments[verb + 1 :])
    where = layout(options.folder)
    match options.do:
        case "build":
            print(programs.build(note))
        case "up":
            clusters.up(where, options.nodes, note, until=options.until)
            print(where.kubeconfig)
        case "kubeconfig":
            print(clusters.need(where).layout.kubeconfig)
        case "load":
            clusters.need(where).load(*options.names)
        case "power-off" | "power-on" | "cut" | "mend":
            found = clusters.need(where)
            for name in options.names:
                getattr(found, options.do.replace("-", "_"))(name)
        case "kubectl":
            found = clusters.need(where)
            return subprocess.run(["kubectl", *command], env=found.environment, check=False).returncode
        case "run":
            with clusters.running(where, options.nodes, note) as found:
                return subprocess.run(command, env=found.environment, check=False).returncode
        case "down":
            note("removed" if clusters.down(where) else "there was nothing")
        case "guard":
            clusters.guard(where, options.until or os.getppid())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NinesError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
