"""What runs on systems that were there before them have in common, wherever those are: guests, nodes, addresses, the session."""
