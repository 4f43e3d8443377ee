"""Programs of others that we start: what a failed one said."""

from __future__ import annotations

import subprocess


def last_words(error: OSError | subprocess.SubprocessError) -> str:
    """The end of what a failed program said."""
    match error:
        case subprocess.CalledProcessError():
            lines = [line for line in f"{error.stdout or ''}\n{error.stderr or ''}".splitlines() if line.strip()]
            return "; ".join(lines[-3:]) if lines else f"exit status {error.returncode}"
        case subprocess.TimeoutExpired():
            return f"not done within {error.timeout:g} s"
        case OSError():
            return error.strerror or str(error)
        case _:
            return str(error)
