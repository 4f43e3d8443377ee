"""Chains, and what is solved of them."""
