"""Engines that are not on this machine's own kernel: the harness travels to them, a thin command stays here (docs/adr/0020)."""
