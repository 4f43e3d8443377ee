"""What is missing is a skip at home and a failure where the project is guarded."""

from __future__ import annotations

import pytest

from tests.needs import need

SKIPS = """
import pytest

def test_skips():
    pytest.skip("no reason that anybody allowed")

def test_passes():
    pass
"""


def test_what_is_there_is_no_matter() -> None:
    """A program on PATH, or a part that was looked for."""
    need("sh")
    need("a thing", present=True)


@pytest.mark.parametrize(("strict", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, strict: str, outcome: type[BaseException]) -> None:
    """Named, with how to get it, by a skip or by a failure."""
    monkeypatch.setenv("NINES_CI", strict)
    with pytest.raises(outcome, match="needs no-such-program-here: build it"):
        need("no-such-program-here", how="build it")


@pytest.mark.parametrize(("strict", "status"), [("", 0), ("1", 1)])
def test_silent_skips_fail_the_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, strict: str, status: int) -> None:
    """A skip for a reason that is not in ALLOWED_SKIPS fails the whole run in strict mode, and is listed."""
    monkeypatch.setenv("NINES_CI", strict)
    pytester.makeconftest("from tests.conftest import pytest_configure")
    pytester.makepyfile(SKIPS)
    result = pytester.runpytest_inprocess()
    assert result.ret == status
    result.assert_outcomes(passed=1, skipped=1)
    if strict:
        result.stdout.fnmatch_lines(["*skips that nobody allowed*", "*test_skips: no reason that anybody allowed*"])
