"""The same engine elsewhere behind TLS with certificates of its own, and behind ``ssh``: by variables and by contexts."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import connect
from tests.engines.test_elsewhere import EXPERIMENT
from tests.support import engine_elsewhere
from tests.support.engine_transports import SSHD, certificates, ssh_before, tls_before
from tests.support.needs import need


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    with engine_elsewhere.running() as found:
        yield found


# --- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    need("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    certificates(folder)
    with tls_before(host.removeprefix("unix://"), folder) as port:
        yield f"tcp://127.0.0.1:{port}", folder


def by_variables(patch: pytest.MonkeyPatch, where: str, folder: Path) -> None:
    for name, value in (("DOCKER_HOST", where), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", str(folder))):
        patch.setenv(name, value)


def a_run(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("NINES_STATE", str(folder / "state"))
    patch.chdir(folder)
    (folder / "there.yaml").write_text(EXPERIMENT, encoding="utf-8")
    command = [sys.executable, "-m", "chaos", "run", "there.yaml", "--folder", "run", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert (folder / "run" / "report.json").exists()


def test_a_run_over_tls(tls: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_variables(monkeypatch, *tls)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[1] / "server.pem"))  # others' authorities, as a company sets them
    with connect(checked=False) as engine:
        assert "tcp" in engine.facts.elsewhere
    a_run(tmp_path, monkeypatch)


def test_a_context_with_certificates(tls: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``docker context create`` writes it; named by DOCKER_CONTEXT, and by the settings' own ``currentContext``."""
    where, folder = tls
    digest = hashlib.sha256(b"work").hexdigest()
    meta, files = tmp_path / "contexts" / "meta" / digest, tmp_path / "contexts" / "tls" / digest / "docker"
    for each in (meta, files):
        each.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": "work", "Endpoints": {"docker": {"Host": where, "SkipTLSVerify": False}}}))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shutil.copy(folder / name, files / name)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "work")
    with connect(checked=False) as engine:
        assert engine.client.ping()
    monkeypatch.delenv("DOCKER_CONTEXT")
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "work"}))
    with connect(checked=False) as engine:
        assert engine.client.ping()


def test_a_stranger_s_certificates(tls: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates(tmp_path)
    by_variables(monkeypatch, tls[0], tmp_path)
    with pytest.raises(EnvironmentUnusable):
        connect(checked=False)
    by_variables(monkeypatch, tls[0], tmp_path / "nothing")
    with pytest.raises(EnvironmentUnusable, match="certificates"):
        connect(checked=False)


# --- ssh ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ssh(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the environment, for the block, with the ``ssh`` that has the key."""
    need("sshd", SSHD.exists(), "sudo apt-get install openssh-server")
    with ssh_before(host.removeprefix("unix://"), tmp_path_factory.mktemp("ssh")) as (where, path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        patch.setenv("DOCKER_HOST", where)
        yield where


def test_a_run_over_ssh(ssh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(checked=False) as engine:
        assert engine.facts.host == ssh
        assert "ssh" in engine.facts.elsewhere
    a_run(tmp_path, monkeypatch)
