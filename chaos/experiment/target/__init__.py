"""What a system under test declares."""
