"""Evidence over many runs: their faults in one SQLite file, pooled where they may be; versions of a system held against each other."""
