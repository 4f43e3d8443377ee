"""The file that people write."""
