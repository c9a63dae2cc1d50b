"""What the backends around TensorRT share: building, running, timing and looking inside its engines."""
