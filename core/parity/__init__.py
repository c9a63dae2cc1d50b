"""Parity: how far an engine's outputs are from the source model's, on the same inputs."""
