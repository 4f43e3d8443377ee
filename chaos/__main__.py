"""``python -m chaos`` is the same as ``nines``."""

from chaos.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
