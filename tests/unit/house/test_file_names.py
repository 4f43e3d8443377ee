"""Files of tests have names of their own: pytest imports them by their last part."""

from __future__ import annotations

from collections import Counter

from tests.support.paths import ROOT


def test_no_two_files_of_tests_are_called_alike() -> None:
    """Two of them stop any run that collects both, and each passes alone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []


def test_none_is_called_as_tests_write_theirs() -> None:
    """Tests of the pytest plugin write files with these names, and collect them in the same process."""
    assert not [path.name for path in (ROOT / "tests").rglob("test_cluster.py")]
