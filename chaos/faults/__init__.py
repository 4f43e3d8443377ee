"""One file a fault. A fault harms on entering and heals on leaving; it has no duration and never sleeps.

Besides ``inject`` a fault's struct says, for planning: ``takes`` (what a selector must give it), ``takes_down`` (whether its
victims count against ``limits.nodes_down``), ``missing`` (why it cannot be done truthfully somewhere), and, if it acts on links,
the pure ``rules``, from which the plan knows which links must be prepared (``halts``: it stops processes as well). ``cuts``: who is
down at one time, if that is not just the victims. ``untargeted``: it names its victims itself, or has none.
"""
