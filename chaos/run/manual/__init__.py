"""Faults by hand: nines up, nines inject."""
