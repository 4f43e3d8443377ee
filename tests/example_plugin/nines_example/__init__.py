"""Plug-ins of each kind, in a package of their own: nothing of it is known to Nines but its entry points."""
