"""The contract for a runtime whose harness travels: its tests are carried out where the harness of a run would stand, and told here.

    @pytest.fixture(scope="module")
    def deployment(tmp_path_factory):
        return deployment_of(tmp_path_factory.mktemp("contract") / "contract")

    class TestMine(TravellingContract):
        pass

Each test has other links of the deployment prepared for harm. Its folder takes the results, and what each test's run wrote.
What a run needs there is made as for a run (``Runtime.elsewhere``), once for all tests of the class. Each test here then passes, fails or
is skipped as it did there, with the words of there. ``there`` names another module and class, whose package the harness there must have: a
``RuntimeContract`` with a stage of ``travelled.stage``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final
from xml.etree import ElementTree as Xml

import msgspec
import pytest

from chaos.api import Ordered, engine_elsewhere
from chaos.core.errors import NinesError
from chaos.elsewhere import travel
from chaos.plugin import Deployment
from chaos.testing.runtimes import RuntimeContract

RESULTS: Final = "tests.xml"
"""In the folder that comes back, as JUnit has it."""
PLAIN: Final = ("-p", "no:cacheprovider", "-p", "no:nines", "-q", "--tb=short")
"""Of pytest there: it writes nothing beside the results."""


class Outcome(msgspec.Struct, frozen=True):
    """Of one test there."""

    kind: str
    """``passed``, ``failed`` or ``skipped``."""
    text: str = ""
    """Why."""


def carry_out(deployment: Deployment, module: str, test_class: str, names: Sequence[str]) -> tuple[Mapping[str, Outcome], str]:
    """These tests of a class there, in one pytest; how each ended, and all that pytest said.

    ``EnvironmentUnusable`` if nothing travels, or what is needed there cannot be made.
    """
    said: list[str] = []
    plan = deployment.plan
    ordered = Ordered(experiment=plan.experiment, text="", target=deployment.target, plan=plan)
    words = (*PLAIN, "--pyargs", *(f"{module}::{test_class}::{name}" for name in names))
    with ExitStack() as stack:
        far = engine_elsewhere(plan, stack)
        assert far is not None, f"with '{plan.runtime}' nothing travels here: inherit from RuntimeContract"
        travel.tests(far, deployment, msgspec.json.encode(ordered), words, said.append)
    results = deployment.folder / RESULTS
    return (outcomes(results) if results.exists() else {}), "".join(said)


def outcomes(file: Path) -> dict[str, Outcome]:
    """Name of a test -> how it ended, by a JUnit file of pytest. One that failed may have failed to take back as well."""
    found = {}
    for case in Xml.parse(file).getroot().iter("testcase"):  # noqa: S314 - made by a pytest that we started
        failed, skipped = [*case.findall("failure"), *case.findall("error")], case.find("skipped")
        outcome = Outcome("passed")
        if failed:
            outcome = Outcome("failed", "\n".join(each.text or each.get("message") or "" for each in failed))
        elif skipped is not None:
            outcome = Outcome("skipped", skipped.get("message", ""))
        found[str(case.get("name"))] = outcome
    return found


_CARRIED_OUT: Final = pytest.StashKey[tuple[Mapping[str, Outcome], str] | NinesError]()


class Told:
    """How one test ended there."""

    def __init__(self, name: str, found: Mapping[str, Outcome], said: str) -> None:
        self._name = name
        self._found = found
        self._said = said

    def tell(self) -> None:
        """The same here."""
        outcome = self._found.get(self._name)
        if outcome is None:
            pytest.fail(f"nothing is known of it; what pytest said there:\n{self._said}", pytrace=False)
        if outcome.kind == "skipped":
            pytest.skip(outcome.text)
        if outcome.kind != "passed":
            pytest.fail(outcome.text, pytrace=False)


class TravellingContract(RuntimeContract):
    """All tests of the contract, carried out elsewhere. Inherit, and give a fixture ``deployment`` for the module."""

    there: ClassVar[tuple[str, str]] = ("chaos.testing.travelled", "TestTravelled")
    """The module and its class that are carried out."""

    @pytest.fixture
    def stage(self, request: pytest.FixtureRequest, deployment: Deployment) -> Told:
        """In place of one that is here. All tests of this class that are asked for are carried out at the first of them."""
        kept = request.node.getparent(pytest.Class).stash
        if _CARRIED_OUT not in kept:
            names = [item.name for item in request.session.items if _class_of(item) is request.cls]
            try:
                kept[_CARRIED_OUT] = carry_out(deployment, *self.there, names)
            except NinesError as error:
                kept[_CARRIED_OUT] = error  # not tried again for each of them
        found = kept[_CARRIED_OUT]
        if isinstance(found, NinesError):
            raise found
        return Told(request.node.name, *found)


def _class_of(item: pytest.Item) -> type | None:
    return getattr(item, "cls", None)


def _told(test: Callable[..., None]) -> Callable[..., None]:
    """A test of the contract that tells what became of it."""

    @functools.wraps(test)
    def told(_self: object, stage: Told, **_given: Any) -> None:  # noqa: ANN401 - what it is parametrized with
        stage.tell()

    return told


for _name in [each for each in dir(RuntimeContract) if each.startswith("test_")]:
    setattr(TravellingContract, _name, _told(getattr(RuntimeContract, _name)))
