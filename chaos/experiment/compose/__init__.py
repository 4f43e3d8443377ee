"""Compose files, read as Compose reads them."""
