"""What faults share."""
