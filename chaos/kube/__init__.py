"""A Kubernetes cluster by its API: whom to ask, what is made there, what rights that takes (docs/adr/0041)."""
