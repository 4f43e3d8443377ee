"""Replicas that are down on a known beat, and write down when they truly were: what the measuring chain is calibrated against.

beat.py      when to be down: a pure function of seed and time
manners.py   how to be down: refuse, reset, hang, error, late, silent
replica.py   the HTTP service, one epoll loop     truth.py   the log of what truly happened
"""
