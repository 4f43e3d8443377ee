"""Plain processes."""
