"""``python -m chaos`` is the same as ``nines``."""

from chaos.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
