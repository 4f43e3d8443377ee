"""Links between containers."""
