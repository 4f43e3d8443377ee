"""The base image: Debian with a whole python3, nftables and iproute2. Pulled and completed, or made here where no registry answers.

$NINES_BASE_IMAGE        any Debian-like image, pulled if missing; what it lacks is installed on top
else debian:12-slim      the same, if a registry answers
else mmdebstrap          bootstrapped from Debian packages and imported; once, about 20 s; kept by the hash of the recipe
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Final

from chaos.core.errors import EnvironmentUnusable
from chaos.core.programs import last_words
from chaos.engine.connection import Engine
from chaos.engine.errors import translated
from chaos.engine.images import debian
from chaos.engine.images.build import BUILD_TIMEOUT_S, LABEL, Note, Recipe, build, digest, image_id, one_at_a_time, pull
from chaos.registry.processes import identity

SETTING: Final = "NINES_BASE_IMAGE"
SUITE: Final = "bookworm"
PUBLIC: Final = "debian:12-slim"
PACKAGES: Final = ("python3", "nftables", "iproute2", "libcap2-bin", "ca-certificates", "procps")
"""python3 and not python3-minimal, which lacks json."""
LEFT_OUT: Final = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
BOOTSTRAP_TIMEOUT_S: Final = 600.0
END_WITHIN_S: Final = 10.0
DRAFTS: Final = "nines-base-"
"""How a bootstrap's folder begins; the number of its process follows."""
_ID: Final = re.compile(r"\b(?:sha256:)?[0-9a-f]{64}\b")


def ensure_base(engine: Engine, note: Note) -> str:
    """The name of a base image that the engine has now. ``EnvironmentUnusable`` says which ways failed and what would help."""
    named = os.environ.get(SETTING, "").strip()
    if named:
        return _complete(engine, named, note)
    tag = default_tag()
    if image_id(engine, tag) is not None:
        return tag
    with one_at_a_time("base"):
        if image_id(engine, tag) is not None:
            return tag
        try:
            pull(engine, PUBLIC, note)
        except EnvironmentUnusable as error:
            note(f"{error.what}; making a base image from Debian packages instead, once")
            _bootstrap(engine, tag, note)
        else:
            build(engine, _completion(PUBLIC, tag), note)
    return tag


def default_tag() -> str:
    """What the base image is called where no other one is set."""
    return f"nines-base:{SUITE}-{digest(SUITE, *PACKAGES, *LEFT_OUT)}"


def _complete(engine: Engine, named: str, note: Note) -> str:
    found = pull(engine, named, note)
    return build(engine, _completion(named, f"nines-base:from-{digest(_dockerfile(), found, *PACKAGES)}"), note)


def _completion(source: str, tag: str) -> Recipe:
    return Recipe(tag=tag, dockerfile=_dockerfile(), entries=(), purpose="base", args={"FROM": source, "PACKAGES": " ".join(PACKAGES)})


def _dockerfile() -> str:
    return (files("chaos") / "docker_files" / "base.Dockerfile").read_text(encoding="utf-8")


# --- made here ---------------------------------------------------------------------------------------------------------


def _bootstrap(engine: Engine, tag: str, note: Note) -> None:
    if shutil.which("mmdebstrap") is None:
        _get_mmdebstrap(note)
    note(f"bootstrapping Debian {SUITE} with {', '.join(PACKAGES)} (about 20 s)")
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{DRAFTS}{os.getpid()}-") as folder:
        archive = Path(folder) / "base.tar"
        try:
            bootstrapped(command(archive), Path(folder) / "words", BOOTSTRAP_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentUnusable(
                f"no base image: no registry answers, and mmdebstrap failed: {last_words(error)}", how=_ways()
            ) from error
        name, _, version = tag.partition(":")
        with closing(engine.patient(BUILD_TIMEOUT_S)) as client, translated(f"importing the base image {tag}"):
            said = client.api.import_image_from_file(
                str(archive), repository=name, tag=version, changes=[f"LABEL {LABEL}=base", 'CMD ["bash"]']
            )
            made = imported(said)
            if made and image_id(engine, tag) is None:
                client.api.tag(made, name, version)  # Podman calls it 'latest', whatever was asked for
    if image_id(engine, tag) is None:
        raise EnvironmentUnusable(f"the engine did not keep the imported image {tag}", how=f"see its log: {engine.facts.log}")


def sweep(folder: Path) -> None:
    """What a bootstrap left there whose process was killed: hundreds of megabytes."""
    for each in folder.glob(f"{DRAFTS}*-*"):
        pid = each.name.removeprefix(DRAFTS).partition("-")[0]
        if pid.isdigit() and identity(int(pid)) is None and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)


def bootstrapped(words: Sequence[str], said: Path, timeout_s: float) -> None:
    """Run it. Whatever ends us, it takes its folders and mounts along: it is told to end and awaited, and breaks at no pipe of ours."""
    with said.open("w+", encoding="utf-8", errors="replace") as text:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=text, stderr=text, start_new_session=True)
        try:
            status = process.wait(timeout_s)
        except BaseException:
            _end(process)
            raise
        if status:
            text.seek(0)
            raise subprocess.CalledProcessError(status, list(words), stderr=text.read())


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    for sent in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_WITHIN_S)
            return


def imported(said: str) -> str:
    """The id of an image, in the lines that an engine answers an import with; empty if none names it."""
    found = _ID.findall(said)
    return found[-1] if found else ""


def command(archive: Path) -> list[str]:
    """The bootstrap: this machine's own mirrors and proxies, if it is a Debian itself."""
    options = [f"--aptopt={line}" for line in debian.apt_options()]
    left_out = [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    return [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *options, *left_out,
        SUITE, str(archive), *debian.mirrors(SUITE),
    ]  # fmt: skip


def _get_mmdebstrap(note: Note) -> None:
    try:
        debian.install(["mmdebstrap"], note)
    except EnvironmentUnusable as error:
        raise EnvironmentUnusable(
            f"no base image: no registry answers, and mmdebstrap, which would make one here, is not installed ({error.what})", how=_ways()
        ) from error


def _ways() -> str:
    return f"sudo apt-get install mmdebstrap; or load an image (docker load) and name it: {SETTING}=debian:12-slim"
