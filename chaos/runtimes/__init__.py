"""Where nodes run: plain processes (``local``), or virtual time (``fake``)."""
