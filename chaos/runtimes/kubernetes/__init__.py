"""Pods of a Kubernetes cluster: found, looked after by guests, given back."""
