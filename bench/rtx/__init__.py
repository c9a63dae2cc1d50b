"""TensorRT-RTX on machines with no GPU: what builds, what is told of it, and what became of every node."""
