"""The words: each found by its own name and by others, explained in short sentences, and on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos.cli import main as cli
from chaos.cli.glossary import WORDS, page
from chaos.cli.glossary_terms import SYNONYMS

ROOT = Path(__file__).parents[3]
FIELD = (
    "steady state", "blast radius", "error budget", "burn rate", "coordinated omission", "open loop", "closed loop", "MTTR", "MTBF",
    "MTTF", "MTTD", "RPO", "RTO", "quorum", "split brain", "gray failure", "fencing", "lease", "pre-vote", "linearizability", "SLO", "SLI",
    "SLA", "sequential test", "failover", "health check", "game day", "runbook", "availability", "nines",
)  # fmt: skip


def test_the_page_is_what_explain_says() -> None:
    """docs/glossary.md is made from the same words."""
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == page(), "python tools/glossary.py"


@pytest.mark.parametrize("word", [*FIELD, *SYNONYMS, "Slots", "error budgets", "slo", "SPLIT  BRAIN", "fault_class"])
def test_words_are_found(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the field's names and other people's, in any case, one or many."""
    assert cli.main(["explain", word]) == 0
    assert ": " in capsys.readouterr().out


def test_other_words_lead_somewhere() -> None:
    """Each to a word that is there, and none hides one."""
    assert not [word for word in SYNONYMS.values() if word not in WORDS]
    assert not {word.lower() for word in SYNONYMS} & {word.lower() for word in WORDS}


def test_sentences_are_short() -> None:
    """At most 25 words each."""
    long = [sentence for meaning in WORDS.values() for sentence in re.split(r"(?<=[.:;])\s", meaning) if len(sentence.split()) > 25]
    assert long == []


def test_a_word_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A near one is offered."""
    assert cli.main(["explain", "quorom"]) == 2
    assert "did you mean 'quorum'?" in capsys.readouterr().err
