"""Where nodes run: plain processes (``local``), containers (``docker``), or virtual time (``fake``). See ``chaos.plugin.Runtime``."""
