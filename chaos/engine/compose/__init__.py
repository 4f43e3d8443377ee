"""Compose projects on the engine: by Compose itself where it is installed, else by the engine's own calls."""
