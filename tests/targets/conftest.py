"""The targets' own packages are imported as their nodes import them: from the target's folder."""

from __future__ import annotations

import sys

from tests.support.paths import ROOT

sys.path[:0] = [str(ROOT / "targets" / target) for target in ("replicated_kv", "metronome")]
