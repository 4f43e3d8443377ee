"""Said to people; computes nothing."""
