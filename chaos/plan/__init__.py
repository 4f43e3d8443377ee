"""Every time and draw fixed before anything starts."""
