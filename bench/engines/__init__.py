"""The same two experiments on every engine that people have: does each come to the same end? ``python -m bench.engines``."""
