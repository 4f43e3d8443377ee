"""A replicated key-value store on Raft, in the standard library alone: the embedded target of Nines.

serve.py -> node.py   wires the parts below to sockets, threads and the clock
  raft.py             the consensus rules: messages and ticks in, messages and saves out; no I/O, no clock, no randomness of its own
  replication.py      what a leader knows of each follower      log.py       the log in memory
  storage.py          the log on disk, group commit, recovery   store.py     the keys and values
  server.py client.py HTTP/1.1 on asyncio                       forwarding.py  followers hand requests to the leader
"""
