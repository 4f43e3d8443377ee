"""Docker in CI as people have it: docker-in-docker as a service with TLS, and the engine's socket mounted into a job's container.

No runner takes part: the variables and the mounts are theirs, as GitLab's and GitHub's documentation has them, and the script is that of
docs/ci.md.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chaos.elsewhere.beside import discard
from chaos.engine.connection import Engine, connect
from chaos.engine.images.ensure import ensure_base
from chaos.net.toxiproxy.program import find
from tests.engines.test_elsewhere import nothing_runs
from tests.support import engine_elsewhere
from tests.support.engine_transports import certificates
from tests.support.job import Job, job
from tests.support.needs import need
from tests.support.paths import ROOT

EXPERIMENT = """
experiment: in-ci
question: Do writes fail when the leader dies?
cluster: {target: replicated_kv, nodes: 3, runtime: docker, dns: {balancer: health-checked, ttl: 1s}}
traffic: {operations: {write: 50/s}}
baseline: 2s
faults:
  - {kill: {recovery: restart}, target: leader, at: 1s, for: 2s}
settle: 10s
objectives: {availability: ">= 10%"}
"""
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab-docker.yml").read_text(encoding="utf-8"))["chaos"]
MOUNTED = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """As the image docker:dind starts it: a socket of its own, and port 2376 with certificates in a folder that the job shares."""
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    need("openssl")
    shared = engine_elsewhere.folder() / "shared" / "certs"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    certificates(shared, "subjectAltName=DNS:docker,DNS:localhost")
    pems = {"--tlscacert": "ca", "--tlscert": "server", "--tlskey": "server-key"}
    tls = [word for option, name in pems.items() for word in (option, f"/mnt/certs/{name}.pem")]
    with engine_elsewhere.running(["--host", "tcp://0.0.0.0:2376", "--tlsverify", *tls]) as host, connect(host, checked=False) as found:
        discard(found)
        ensure_base(found)  # the job's network does not lead to any mirror
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The checked out one."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "in-ci.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


def variables(project: Path) -> dict[str, str]:
    """What every job has, beside what its file says: a plain environment, with the command installed."""
    path = project / "bin"
    path.mkdir(exist_ok=True)
    command = path / "nines"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m chaos "$@"\n', encoding="ascii")
    command.chmod(0o755)
    return {
        "PATH": f"{path}:{os.environ['PATH']}", "HOME": os.environ["HOME"], "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}",
        "NINES_TOXIPROXY": find(build=True).path, "NINES_STATE": str(project / "state"), "CI": "true",
    }  # fmt: skip


def gate(job: Job, project: Path, environment: dict[str, str], script: str) -> None:
    """The script of the file, with the verdict of a busy machine let pass."""
    status, said = job.run(["sh", "-ec", script.replace("--against previous", "--unknown pass")], environment, project)
    assert status == 0, said
    assert (project / "out" / "nines.xml").stat().st_size > 100
    assert "elsewhere" in said


def test_docker_in_docker_as_a_service_of_gitlab(engine: Engine, project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """``tcp://docker:2376``, certificates in /certs/client: the file of docs/ci.md, with the paths that GitLab gives."""
    (line,) = [each for each in GITLAB["script"] if "nines gate" in each]
    folder = tmp_path_factory.mktemp("job")
    mounts = {str(engine_elsewhere.folder() / "shared" / "certs"): str(folder / "client")}
    (folder / "client").mkdir()
    own = {name: value.replace("/certs/client", str(folder / "client")) for name, value in GITLAB["variables"].items() if "DOCKER" in name}
    with job(mounts, engine_elsewhere.pid(), folder / "hosts") as container:
        gate(container, project, variables(project) | own, line)
        status, said = container.run(["nines", "doctor"], variables(project) | own, project)
        assert "reached by tcp" in said
        assert status in (0, 5)
    assert nothing_runs(engine)


def test_the_socket_is_mounted_into_a_job(engine: Engine, project: Path) -> None:
    """As GitLab's ``volumes = ["/var/run/docker.sock:/var/run/docker.sock"]`` and a container of GitHub's have it."""
    with job({engine.facts.host.removeprefix("unix://"): MOUNTED}) as container:
        gate(container, project, variables(project), "nines gate experiments --against previous --junit out/nines.xml")
    assert nothing_runs(engine)
