"""The same engine elsewhere behind TLS with certificates of its own, and behind ``ssh``: by variables and by contexts."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.connection import answers, connect
from tests.engines.test_elsewhere import EXPERIMENT
from tests.support import engine_elsewhere
from tests.support.needs import need

SSHD = "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    need("an engine elsewhere", engine_elsewhere.may(), "root, dockerd, unshare, iproute2")
    with engine_elsewhere.running() as found:
        yield found


# --- TLS ---------------------------------------------------------------------------------------------------------------


def certificates(folder: Path, server: str = "subjectAltName=IP:127.0.0.1") -> None:
    """An authority, and what it signed for both sides: ca.pem, cert.pem, key.pem as the docker command wants them, server.pem."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"
    )
    for name, uses in (("server", server), ("client", "extendedKeyUsage=clientAuth")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}-key.pem", "-out", f"{name}.csr")
        (folder / f"{name}.ext").write_text(f"{uses}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip
    shutil.copy(folder / "client.pem", folder / "cert.pem")
    shutil.copy(folder / "client-key.pem", folder / "key.pem")


@contextlib.contextmanager
def tls_before(unix: str, folder: Path) -> Iterator[int]:
    """A port at which only who shows a certificate of that authority gets to the socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_unix_connection(unix)
        await asyncio.gather(pump(reader, here), pump(there, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


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
    """A real sshd on loopback; whoever logs in there finds the engine by its variables."""
    need("sshd", Path(SSHD).exists(), "sudo apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "user.pub", folder / "keys")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\nStrictModes no\nPidFile none\n"
        f"PermitRootLogin yes\nPasswordAuthentication no\nSetEnv DOCKER_HOST={host}\n"
    )
    (folder / "ssh_config").write_text(
        f"Host *\n  IdentityFile {folder}/user\n  StrictHostKeyChecking no\n  UserKnownHostsFile {folder}/known\n  LogLevel ERROR\n"
    )
    wrapped = folder / "bin" / "ssh"
    wrapped.parent.mkdir()
    wrapped.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    wrapped.chmod(0o755)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{wrapped.parent}{os.pathsep}{os.environ['PATH']}")
        where = f"ssh://{getpass.getuser()}@127.0.0.1:{port}"
        until_s = time.monotonic() + 30.0
        while not answers({"DOCKER_HOST": where}, 5.0):
            assert server.poll() is None and time.monotonic() < until_s, (folder / "log").read_text()
            time.sleep(0.2)
        patch.setenv("DOCKER_HOST", where)
        yield where
    server.terminate()
    server.wait()


def test_a_run_over_ssh(ssh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(checked=False) as engine:
        assert engine.facts.host == ssh
        assert "ssh" in engine.facts.elsewhere
    a_run(tmp_path, monkeypatch)
