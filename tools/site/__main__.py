"""Copies ``docs/`` beside pages that are made from the code, and lets Sphinx build both: every warning is an error.

docs/**.md, CONTRIBUTING.md, SECURITY.md    written by people; links of theirs to files of the repository lead to its web page
reference/**                                made from the command line, the schemas, the faults, the report and docstrings
index.md                                    the sections of ``SECTIONS``; a page that none of them names stands under "More"
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from tools.site import reference

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "site"
REPOSITORY: Final = "https://github.com/chaos-nines/chaos-nines/blob/main"
OF_ROOT: Final = ("CONTRIBUTING.md", "SECURITY.md")
SECTIONS: Final = {
    "Tutorials": ["tutorial/first-run", "tutorial/your-service", "tutorial/first-gate", "tutorial/*", "try"],
    "How-to guides": ["howto/*", "ci", "pytest", "gameday", "monitoring", "inject", "docker", "engines", "runs", "reports", "explore",
                      "python"],
    "Reference": ["reference/cli", "experiments", "reference/experiment", "schedules", "targets", "reference/target", "clusters", "faults",
                  "reference/faults/*", "achieved", "runtimes", "data", "reference/report", "reference/events", "reference/exit-status",
                  "reference/environment", "reference/python", "glossary", "extending", "replicated-kv/*", "reference/*"],
    "Explanation": ["measuring", "models", "fleets", "deciding", "from-mtbf-to-verdict", "measured", "trust", "architecture", "adr/README",
                    "adr/*"],
    "The project": ["compare", "security", "compatibility", "CONTRIBUTING", "SECURITY"],
}  # fmt: skip
_LINK: Final = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")
_FENCE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def assemble(into: Path) -> list[str]:
    """Write every source page; returns their names without suffix, in the order of the navigation."""
    shutil.rmtree(into, ignore_errors=True)
    shutil.copytree(ROOT / "docs", into)
    for name in OF_ROOT:
        shutil.copy(ROOT / name, into / name)
    for page in sorted(into.rglob("*.md")):
        page.write_text(_with_web_links(page, into), encoding="utf-8")
    for name, text in reference.pages().items():
        path = into / "reference" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    names = sorted(str(page.relative_to(into).with_suffix("")) for page in into.rglob("*.md"))
    ordered = _sections(names)
    (into / "index.md").write_text(_index(ordered), encoding="utf-8")
    return [name for section in ordered.values() for name in section]


def _with_web_links(page: Path, into: Path) -> str:
    """Links to files that are no part of the site lead to the repository."""
    at_top = page.parent == into and page.name in OF_ROOT
    origin = ROOT / page.name if at_top else ROOT / "docs" / page.relative_to(into)

    def linked(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        found = (origin.parent / target).resolve()
        inside = found.is_relative_to(ROOT / "docs") and found.suffix in (".md", ".png", ".svg", ".json")
        at_root = found.parent == ROOT and found.name in OF_ROOT
        if at_root:
            return f"{match[1]}/{found.name}{match[3]}"
        if origin.parent == ROOT and inside:
            return f"{match[1]}{found.relative_to(ROOT / 'docs')}{match[3]}"
        return match[0] if inside else f"{match[1]}{REPOSITORY}/{found.relative_to(ROOT)}{match[3]}"

    return _LINK.sub(linked, page.read_text(encoding="utf-8"))


def _sections(names: list[str]) -> dict[str, list[str]]:
    """Each page once, where the first pattern wants it."""
    left, found = dict.fromkeys(names), {}
    for title, patterns in SECTIONS.items():
        found[title] = [name for pattern in patterns for name in names if fnmatch(name, pattern) and left.pop(name, 1) is None]
    if left:
        found["More"] = list(left)
    return found


def _index(sections: dict[str, list[str]]) -> str:
    trees = "\n\n".join(
        f"```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n\n" + "\n".join(f"/{name}" for name in names) + "\n```"
        for title, names in sections.items()
        if names
    )
    return (
        "# Nines\n\nNines starts a replicated cluster behind DNS, sends client traffic, injects faults, and reports what clients saw "
        "beside what a model predicted.\n\nNew here? Begin with [your first run](tutorial/first-run.md). "
        "You have a service of your own? [Twenty minutes](tutorial/your-service.md).\n\n" + trees + "\n"
    )


def build(into: Path = BUILD) -> int:
    """The site in ``into/html``; the exit status of Sphinx."""
    source = into / "source"
    assemble(source)
    strict = ["-b", "html", "-W", "--keep-going", "-q", "-c", str(Path(__file__).parent)]
    status = subprocess.run([sys.executable, "-m", "sphinx", *strict, str(source), str(into / "html")], check=False).returncode
    if status == 0:
        print(f"the site is in {into / 'html' / 'index.html'}")
    return status


if __name__ == "__main__":
    raise SystemExit(build())
