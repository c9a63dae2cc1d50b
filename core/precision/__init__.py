"""Numeric precision as a property of the ONNX graph."""
