"""Samples, what is wrong with them, and the ranges of values that a model takes on them."""
