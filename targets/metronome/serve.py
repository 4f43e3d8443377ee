"""Start one replica: ``python serve.py --node n1 --address 127.0.0.1 --port 7000 --data DIR --manner refuse ...``."""

from metronome.main import main

main()
