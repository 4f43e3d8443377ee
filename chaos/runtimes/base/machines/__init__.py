"""Whole machines, switched and closed on the user's side, by his programs and with his rights."""
