"""TensorRT 8.5 to 11: builds engines from ONNX graphs whose precision is in the graph, and runs them on NVIDIA GPUs."""

from core.backends.tensorrt._backend import TensorRT

BACKEND = TensorRT()
