"""Clients: the open-loop prober, a process of its own."""
