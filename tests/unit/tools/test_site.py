"""The site's sources: every page has its place, every generated page its subject, and no link leads to a page that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.cli.main import VERBS
from chaos.core import plugins
from tests.support.paths import ROOT
from tools.site import reference
from tools.site.__main__ import REPOSITORY, SECTIONS, _sections, assemble

INTERNAL = {
    "NINES_BESIDE", "NINES_CI", "NINES_DOOR_TOKEN", "NINES_ENDS_WITH_INPUT", "NINES_ENGINE_WAYS", "NINES_FOLDER",
    "NINES_GUEST_OF", "NINES_GUEST_POD", "NINES_GUEST_SHARES", "NINES_HARNESS", "NINES_IMAGES", "NINES_IN_CONTAINER",
    "NINES_IN_POD", "NINES_MUTATIONS", "NINES_NODE", "NINES_NO_SYSTEM", "NINES_ORPHAN_AFTER_S", "NINES_PEM_",
    "NINES_POD", "NINES_POD_ADDRESS", "NINES_POD_IMAGE", "NINES_POD_LASTS_S", "NINES_POD_MACHINE",
    "NINES_PRIVATE_ENGINE", "NINES_RUN", "NINES_TRAVELLED",
}  # fmt: skip
"""What Nines sets for processes of its own, or for its own tests."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pages, put together."""
    folder = tmp_path_factory.mktemp("site") / "source"
    names = assemble(folder)
    assert len(names) == len(set(names))
    return folder


def test_every_page_stands_once_in_the_index(source: Path) -> None:
    """Those of other people too, under "More"."""
    index = (source / "index.md").read_text(encoding="utf-8")
    pages = sorted(str(page.relative_to(source).with_suffix("")) for page in source.rglob("*.md") if page.name != "index.md")
    assert sorted(re.findall(r"^/(\S+)$", index, re.MULTILINE)) == pages


def test_a_new_page_needs_no_entry() -> None:
    """It stands last."""
    found = _sections(["ci", "tutorial/first-run", "something-new"])
    assert found["More"] == ["something-new"]
    assert found["Tutorials"] == ["tutorial/first-run"]
    assert set(found) == {*SECTIONS, "More"}


def test_every_link_of_the_site_leads_somewhere(source: Path) -> None:
    """Within the site to a page, else to the web page of a file that exists."""
    for page in source.rglob("*.md"):
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if link.startswith(REPOSITORY):
                assert (ROOT / link.removeprefix(f"{REPOSITORY}/")).exists(), f"{page}: {link}"
            elif "://" not in link and not link.startswith("mailto:"):
                where = source / link[1:] if link.startswith("/") else page.parent / link
                assert where.exists(), f"{page}: {link}"


def test_the_reference_has_every_verb_fault_and_key() -> None:
    """From the code, so none is missing."""
    pages = reference.pages()
    assert all(f"## nines {verb}\n" in pages["cli"] for verb in VERBS)
    assert {f"faults/{kind}" for kind in plugins.FAULTS} <= pages.keys()
    assert all("rolled back by hand" in pages[f"faults/{kind}"] for kind in plugins.FAULTS)
    for key in ("cluster", "traffic", "faults", "objectives", "abort_if"):
        assert f"| `{key}`" in pages["experiment"], key
    assert "| `operations`" in pages["target"]
    assert "availability" in pages["report"]
    assert all(
        f"chaos.{name}" in pages["python"] or f".{name}" in pages["python"] or name in pages["python"] for name in ("run", "predict")
    )


def test_every_variable_is_told_or_is_ours() -> None:
    """A new one that the code reads is named on the page, or above."""
    found = {name for path in (ROOT / "chaos").rglob("*.py") for name in re.findall(r"NINES_[A-Z_]+", path.read_text(encoding="utf-8"))}
    assert found - INTERNAL <= set(reference.ENVIRONMENT)
    assert {name for name in reference.ENVIRONMENT if name.startswith("NINES_")} <= found
