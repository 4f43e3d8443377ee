"""What everything stands on; it knows nobody."""
