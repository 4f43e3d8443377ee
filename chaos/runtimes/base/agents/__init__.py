"""Nodes that an agent of ours looks after, whoever runs them: its link, the node as it tells of it, harm to links by it."""
