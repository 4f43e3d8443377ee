"""docs/measured.md: every shipped target against its leader kill and its known weakness, observed beside predicted."""
