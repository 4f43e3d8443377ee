"""A replicated key-value store on Raft, in the standard library alone: the embedded target of Nines.

The README beside ``serve.py`` has the map: which file holds which idea, and in what order to read them.
"""
