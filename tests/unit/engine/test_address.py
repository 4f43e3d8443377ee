"""How an engine is reached: certificates by variables and contexts, and what is started for ``ssh://``."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest

from chaos.core.errors import EnvironmentUnusable
from chaos.engine.address import Certificates, certificates, found, host, near, ssh_command


def pem(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.pem").write_text("")


def test_without_a_wish_nothing_is_shown(tmp_path: Path) -> None:
    assert certificates({"DOCKER_HOST": "tcp://lab:2375", "HOME": str(tmp_path)}) is None


def test_certificates_by_variables(tmp_path: Path) -> None:
    pem(tmp_path, "ca", "cert", "key")
    found = certificates({"DOCKER_HOST": "tcp://lab:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)})
    assert found == Certificates(*(str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")), verify=True)
    with pytest.raises(EnvironmentUnusable, match="no certificates"):
        certificates({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path / "nothing")})


@pytest.mark.parametrize("skip", [True, False])
def test_a_context_s_certificates_come_before_the_variables(tmp_path: Path, skip: bool) -> None:
    digest = hashlib.sha256(b"work").hexdigest()
    meta = tmp_path / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    endpoint = {"Host": "tcp://lab:2376", "SkipTLSVerify": skip}
    (meta / "meta.json").write_text(json.dumps({"Name": "work", "Endpoints": {"docker": endpoint}}))
    named = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "work"}
    assert host(named) == "tcp://lab:2376"
    assert certificates(named) is None
    pem(tmp_path / "contexts" / "tls" / digest / "docker", "ca")
    found = certificates(named)
    assert found is not None
    assert (found.verify, Path(found.ca).name, found.cert) == (not skip, "ca.pem", "")


def test_what_ssh_is_asked(tmp_path: Path) -> None:
    words = ssh_command("ssh://me@lab:2222", tmp_path)
    assert words[0] == "ssh"
    assert words[words.index("-l") + 1] == "me"
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("--") :] == ["--", "lab", "docker", "system", "dial-stdio"]
    plain = ssh_command("ssh://lab", tmp_path)
    assert "-l" not in plain
    assert "-p" not in plain


@pytest.mark.parametrize("where", ["ssh://", "ssh://-oProxyCommand=touch%20x/"])
def test_no_option_gets_in_as_a_host(tmp_path: Path, where: str) -> None:
    with pytest.raises(EnvironmentUnusable, match="names no host"):
        ssh_command(where, tmp_path)


@pytest.mark.parametrize(
    "where", ["unix://", "tcp://", "tcp://[::1", "tcp://lab:99999", "ssh://lab:port", "htp://lab", "lab:2375", "/run/docker.sock", "fd://"]
)
def test_what_is_no_address_is_called_so(where: str) -> None:
    """Neither a bug of ours nor an engine on another machine."""
    with pytest.raises(EnvironmentUnusable, match="is no address of an engine") as raised:
        found(where)
    assert "tcp://host:port" in raised.value.how


@pytest.mark.parametrize("where", ["unix:///s", "tcp://lab", "tcp://[::1]:2375", "ssh://me@lab:22"])
def test_what_may_be_one_is_taken(where: str) -> None:
    """Whether it answers is seen later."""
    assert found(where, {}).url == where


def test_a_refused_tunnel_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever remove it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(EnvironmentUnusable):
        near("ssh://")
    assert list(tmp_path.iterdir()) == []
