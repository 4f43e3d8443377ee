"""Harm to links: byte streams through Toxiproxy."""
