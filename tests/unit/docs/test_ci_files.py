"""The files for CI systems: as their own schemas want them, as the docs show them, and their steps run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.doc_pages import blocks
from tests.support.paths import ROOT
from tests.support.quick import QUICK


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("github-actions", "action.yml"),
        ("github-workflows", "ci/github-workflow.yml"),
        ("gitlab-ci", "ci/gitlab-ci.yml"),
        ("gitlab-ci", "ci/gitlab-docker.yml"),
    ],
)
def test_files_follow_the_schema_of_their_system(schema: str, file: str) -> None:
    """The schemas that check-jsonschema brings along."""
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(ROOT / file)]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("block", blocks("yaml", "workflow"))
def test_the_docs_show_the_files_as_they_are(block) -> None:
    """Word for word."""
    assert block.file is not None
    assert block.text == (ROOT / block.file).read_text(encoding="utf-8")


def test_the_workflow_gives_inputs_that_the_action_has() -> None:
    """A misspelt input is only a warning to GitHub."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    workflow = yaml.safe_load((ROOT / "ci" / "github-workflow.yml").read_text(encoding="utf-8"))
    given = {name for step in workflow["jobs"]["gate"]["steps"] for name in step.get("with", {})}
    assert given <= set(action["inputs"])


def test_the_gate_of_the_action_runs(tmp_path: Path) -> None:
    """Its shell step, as GitHub runs it: the history fills, the summary and the JUnit file are written, and the second push is compared."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    step = next(step for step in action["runs"]["steps"] if "nines gate" in step.get("run", ""))
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quick.yaml").write_text(QUICK, encoding="utf-8")
    summary = tmp_path / "summary.md"
    for version, against, status in (("aaaaaaa", "", 0), ("bbbbbbb", "previous", 0)):
        given = {"PATHS": "experiments", "AGAINST": against, "MARGIN": "1.3", "UNKNOWN": "pass", "RUNTIME": "fake",
                 "NINES_SYSTEM_VERSION": version}  # fmt: skip
        assert set(given) == set(step["env"])
        beside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(summary),
                  "NINES_HISTORY": "runs/history.db"}  # fmt: skip
        answer = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=tmp_path, env={**os.environ, **given, **beside}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert answer.returncode == status, answer.stdout + answer.stderr
    assert "aaaaaaa against bbbbbbb" in answer.stdout
    assert summary.read_text(encoding="utf-8").count("1 of 1 experiment as expected") == 2
    assert (tmp_path / "out" / "nines.xml").exists()
    assert (tmp_path / "runs" / "history.db").exists()
