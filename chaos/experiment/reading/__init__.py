"""From the tree of a file to typed values, with the place of whatever is wrong."""
