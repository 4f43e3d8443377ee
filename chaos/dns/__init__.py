"""The name in front of the cluster: who answers for it, who is in its set, and how clients ask."""
