"""Latency: the protocol, the loop, the statistics."""
