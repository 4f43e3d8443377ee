"""JSON Schema of experiments and targets, made of what the loader reads."""
