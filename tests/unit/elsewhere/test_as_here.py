"""What a harness elsewhere says of files in its run folder is told by the names that they have here."""

from __future__ import annotations

from pathlib import Path

from chaos.elsewhere.frames import End
from chaos.elsewhere.stand import as_here


def test_a_log_is_where_the_folder_came() -> None:
    end = End(5, error="EnvironmentUnusable", message="n1 was not ready", how="see /nines/runs/shop-1/logs/n1.log")
    assert as_here(end, "/nines/runs/shop-1", Path("runs/shop-1")).how == "see runs/shop-1/logs/n1.log"
    assert as_here(end, "/nines/runs/other", Path("x")) == end
