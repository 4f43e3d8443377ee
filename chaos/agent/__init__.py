"""Runs inside a node; standard library only."""
