"""One mechanism a file. A fault harms on entering and heals on leaving; it has no duration and never sleeps.

Whatever the plan, the runbook, the models and the judgement must know of a fault is declared on its class: see ``chaos.plugin.Fault``.
"""
