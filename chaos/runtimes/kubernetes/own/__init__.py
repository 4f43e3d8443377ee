"""A cluster of ours in pods: started for the run, gone with it."""
