"""For the tests of plug-ins: checks that every fault, runtime and probe must pass, and stages to try them on.

    stage      ``virtual``: a cluster in virtual time, as a context manager; ``staged``: any runtime's cluster, with faults done to it
    faults     ``check_fault``: declarations, effect, proof, undo and healing of one fault, on a virtual cluster
    runtimes   ``RuntimeContract``: a class of pytest tests to inherit from
    travelling ``TravellingContract``: the same for a runtime whose harness travels, carried out where it goes
    probes     ``check_probe``: one operation sent by a probe to an address of yours
    stubs      nodes, a net and a cluster that note what is done to them, and fail on demand

Nothing here is used by a run. docs/extending.md shows each at work.
"""

import pytest

pytest.register_assert_rewrite("chaos.testing.runtimes")
"""An assertion that fails shows its values, also where nobody told pytest of this package."""
