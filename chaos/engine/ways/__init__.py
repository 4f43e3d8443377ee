"""Ways to engines of other hosts: doors of a run, and TLS, each behind a socket of this machine."""
