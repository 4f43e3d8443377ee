"""Start one node: ``python serve.py --node n1 --address 127.0.0.1 --client 7000 --peer 7001 --data DIR --peers n1=http://...,n2=...``."""

from replicated_kv.main import main

main()
