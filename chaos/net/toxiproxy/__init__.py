"""The Toxiproxy server."""
