"""A score for the mapping of engines' layers to source nodes, against what the runtimes themselves give away."""
