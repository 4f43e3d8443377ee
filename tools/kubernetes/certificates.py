"""One authority for a cluster, its certificates, and the kubeconfigs that hold them; made by the ``openssl`` command."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_DAYS: Final = "365"


class Authority:
    """Its files lie in one folder: ``ca.crt``, and NAME.crt with NAME.key for each certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.crt"

    def found(self) -> None:
        """Make the authority itself, and the key that service accounts' tokens are signed with."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._run("req", "-x509", *_NEW_KEY, "-days", _DAYS, "-subj", "/CN=nines-kubernetes", "-keyout", "ca.key", "-out", "ca.crt")
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")

    def certificate(self, name: str, user: str, group: str = "", subjects: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Certificate and key for a user as Kubernetes reads it: CN, and O as the group. A server has ``subjects`` (``IP:...``)."""
        request, extra = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self._run("req", *_NEW_KEY, "-subj", f"{f'/O={group}' if group else ''}/CN={user}", "-keyout", f"{name}.key", "-out", request.name)
        extra.write_text(f"subjectAltName={','.join(subjects)}\n" if subjects else "", encoding="ascii")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", _DAYS, "-extfile", extra.name)
        self._run("x509", "-req", "-in", request.name, *signed, "-out", f"{name}.crt")
        request.unlink()
        extra.unlink()
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def kubeconfig(self, name: str, server: str, where: Path) -> Path:
        """A kubeconfig with the certificate of that name in it, so that it can be copied."""
        files = {"certificate-authority-data": self.ca}
        user = {"client-certificate-data": self.folder / f"{name}.crt", "client-key-data": self.folder / f"{name}.key"}

        def read(paths: dict[str, Path]) -> dict[str, str]:
            return {key: base64.b64encode(path.read_bytes()).decode() for key, path in paths.items()}

        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "nines", "cluster": {"server": server, **read(files)}}],
            "users": [{"name": name, "user": read(user)}],
            "contexts": [{"name": "nines", "context": {"cluster": "nines", "user": name}}],
            "current-context": "nines",
        }
        where.touch(mode=0o600)
        where.write_text(json.dumps(document, indent=1), encoding="ascii")  # JSON is YAML
        return where

    def _run(self, *arguments: str) -> None:
        try:
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(f"openssl {arguments[0]}: {last_words(error)}", how="sudo apt-get install openssl") from error
