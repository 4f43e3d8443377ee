"""A real Kubernetes for tests, on this machine: built from Go modules, its nodes in Linux namespaces.

``programs`` builds it; ``hosts`` are machines made of namespaces, on a switch of their own; ``machine`` is the first process of one;
``control`` and ``node`` say what each kind of host runs; ``cluster`` brings all of it up and down; ``images`` and ``addons`` fill it.
"""
