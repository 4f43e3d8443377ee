"""What is in the wheel: also what is no Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_templates_and_style_sheet_are_in_the_wheel(tmp_path: Path) -> None:
    """Every file beside the templates is installed with them; else a report could be made from a checkout alone."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    folders = (ROOT / "chaos" / "report" / "templates", ROOT / "chaos" / "report" / "assets")
    ours = {str(path.relative_to(ROOT)) for folder in folders for path in folder.iterdir()}
    assert any(name.endswith(".html.j2") for name in ours) and any(name.endswith(".css") for name in ours)
    assert ours <= inside
