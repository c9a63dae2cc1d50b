"""TensorRT 8.5 to 11: builds engines from ONNX graphs whose precision is in the graph, and runs them on NVIDIA GPUs."""

from core.backends._tensorrt.backend import TensorRTBackend
from core.backends.tensorrt._product import PRODUCT

BACKEND = TensorRTBackend(PRODUCT)
