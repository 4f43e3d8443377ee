"""Probe kinds, one file each: ``build(setup)`` makes what sends one operation. The protocol is in ``chaos/traffic/probe.py``."""
