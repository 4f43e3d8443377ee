"""The plan carried out."""
