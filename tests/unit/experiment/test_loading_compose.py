"""Which project a compose file belongs to, as Compose decides it: by the order of its documentation, and its rules for variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.core.errors import BadInput
from chaos.experiment.compose.project import compose_project

SERVICES = "services: {web: {image: example/web}}\n"
CASES = [
    # compose file, .env, environment -> project
    ("", "", {}, "my-folder"),
    ("name: shop\n", "", {}, "shop"),
    ("name: My Shop\n", "", {}, "myshop"),
    ("name: shop\n", "COMPOSE_PROJECT_NAME=other\n", {}, "other"),
    ("name: shop\n", "COMPOSE_PROJECT_NAME=other\n", {"COMPOSE_PROJECT_NAME": "shell"}, "shell"),
    ("", "# COMPOSE_PROJECT_NAME=no\nexport COMPOSE_PROJECT_NAME='shop' # yes\n", {}, "shop"),
    ("", 'COMPOSE_PROJECT_NAME="shop"\n', {}, "shop"),
    ("", "COMPOSE_PROJECT_NAME=\n", {}, "my-folder"),
    ("name: ${STACK:-shop}\n", "", {}, "shop"),
    ("name: ${STACK:-shop}\n", "STACK=blue\n", {}, "blue"),
    ("name: ${STACK:-shop}\n", "STACK=blue\n", {"STACK": "green"}, "green"),
    ("name: ${STACK:-shop}\n", "", {"STACK": ""}, "shop"),
    ("name: a${STACK-shop}\n", "", {"STACK": ""}, "a"),
    ("name: ${STACK:+with}shop\n", "", {"STACK": "x"}, "withshop"),
    ("name: ${STACK:+with}shop\n", "", {}, "shop"),
    ("name: $STACK-$ENVIRONMENT\n", "STACK=shop\n", {"ENVIRONMENT": "ci"}, "shop-ci"),
    ("name: a$$b\n", "", {}, "ab"),
    ("name: ${A:-${B:-shop}}\n", "", {}, "shop"),
    ("", "STACK=blue\nCOMPOSE_PROJECT_NAME=${STACK}-${N:-1}\n", {}, "blue-1"),
    ("", 'NOTE="two\nlines" # yes\nCOMPOSE_PROJECT_NAME=shop\n', {}, "shop"),
    ("services: {web: {ports: !reset [], env: !override {a: b}}}\nname: shop\n", "", {}, "shop"),
]


@pytest.mark.parametrize(("content", "dotenv", "environ", "project"), CASES)
def test_the_project_is_the_one_that_compose_takes(
    tmp_path: Path, content: str, dotenv: str, environ: dict[str, str], project: str
) -> None:
    """The environment, then .env, then the name in the file, then the folder."""
    folder = tmp_path / "My-Folder"
    folder.mkdir()
    (folder / "compose.yaml").write_text(content + ("" if "services" in content else SERVICES), encoding="utf-8")
    if dotenv:
        (folder / ".env").write_text(dotenv, encoding="utf-8")
    assert compose_project(folder / "compose.yaml", environ) == project


@pytest.mark.parametrize(
    ("content", "dotenv", "says"),
    [
        ("name: ${STACK:?say which}\n", "", "asks for the variable STACK, which is not set"),
        ("name: ${STACK!}\n", "", "is no variable"),
        ("name: [a]\n", "", "is no text"),
        ("", "COMPOSE_PROJECT_NAME=${STACK}-x\n", "comes out as '-x', which Compose does not allow"),
        ("", "COMPOSE_PROJECT_NAME=My Shop\n", "which Compose does not allow"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_way_out(tmp_path: Path, content: str, dotenv: str, says: str) -> None:
    """Never guessed: a wrong project would be found out only when nothing of it runs."""
    (tmp_path / "compose.yaml").write_text(content + SERVICES, encoding="utf-8")
    if dotenv:
        (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
    with pytest.raises(BadInput, match=says) as refused:
        compose_project(tmp_path / "compose.yaml", {})
    assert "write the project's name" in refused.value.right


@pytest.mark.parametrize("content", ["", "- a\n", "a: [\n", "experiment: x\n", "[" * 5000])
def test_what_is_no_compose_file_is_told(tmp_path: Path, content: str) -> None:
    """Not taken for one of a project that is named like its folder."""
    (tmp_path / "compose.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=r"compose\.yaml is n"):
        compose_project(tmp_path / "compose.yaml", {})
