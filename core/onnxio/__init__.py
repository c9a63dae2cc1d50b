"""ONNX files: read past their weights, walked, named, simplified and written."""
