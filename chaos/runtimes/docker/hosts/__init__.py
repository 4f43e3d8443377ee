"""Several Docker hosts: their engines, the network that ties them together, their power."""
