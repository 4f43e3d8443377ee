"""Models: what a run, and production, should show. They never see a measured outcome."""
