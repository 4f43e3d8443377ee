"""From the history to what clients saw; knows no model."""
