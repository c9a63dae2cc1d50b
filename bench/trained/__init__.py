"""Trained networks of others, out of packages of the public registry: what came of each, and what INT8 costs them."""
