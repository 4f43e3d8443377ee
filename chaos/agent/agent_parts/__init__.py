"""What the node agent can do that few runs need. One file a part, standard library only; ``chaos/agent/agent.py`` loads it when asked.

Each holds ``do_VERB(agent, command)`` for the command ``PART.VERB``, which returns its answer (figures under ``result``), or None after
``agent.later``; and ``heal(agent)``, which takes back whatever it still has in force and returns what went wrong with that. What
cannot be done is a ``ValueError``, whose text reaches the harness. ``up(agent)``, if there is one, is called when another main process
of the system has begun.
"""
