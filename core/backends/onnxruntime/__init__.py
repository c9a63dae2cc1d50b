"""ONNX Runtime: optimises ONNX graphs ahead of time and runs them on the CPU, or on CUDA where its provider is installed."""

from core.backends.onnxruntime._backend import OnnxRuntime

BACKEND = OnnxRuntime()
