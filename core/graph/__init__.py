"""The engine graph: what a runtime made of the source nodes."""
