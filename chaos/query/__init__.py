"""Questions to a node: ready, roles, marks, clock."""
