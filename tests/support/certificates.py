"""A certificate authority for one test session, and certificates of it, made by the ``openssl`` command."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

ADDRESS = "127.0.0.1"
NAME = "shop.test"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Its files lie in one folder: ``ca.pem``, and NAME.pem with NAME.key for each certificate that it made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._run("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=a test", "-keyout", "ca.key", "-out", "ca.pem")

    def certificate(self, name: str, *subjects: str) -> tuple[Path, Path]:
        """For those (``IP:127.0.0.1``, ``DNS:shop.test``); the paths of certificate and key."""
        key, request, made, extra = f"{name}.key", f"{name}.csr", f"{name}.pem", f"{name}.ext"
        self._run("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        (self.folder / extra).write_text(f"subjectAltName={','.join(subjects) or 'DNS:nobody.test'}\n")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extra)
        self._run("x509", "-req", "-in", request, *signed, "-out", made)
        return self.folder / made, self.folder / key

    def server(self, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
        """What a server of this authority's shows, for ``ADDRESS`` and ``NAME``."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(*map(str, self.certificate("server", f"IP:{ADDRESS}", f"DNS:{NAME}")))
        if asks_for_certificate:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(str(self.ca))
        return made

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=20)
