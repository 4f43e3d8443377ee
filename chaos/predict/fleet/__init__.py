"""A fleet by simulation: lives of thousands of nodes, many times over, and what they tell with which certainty."""
