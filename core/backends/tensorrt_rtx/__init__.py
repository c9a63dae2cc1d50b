"""TensorRT-RTX: builds engines on any x86-64 Linux, with no GPU, and runs them on NVIDIA's GPUs from Ampere on (not the H100)."""

from core.backends._tensorrt.backend import TensorRTBackend
from core.backends.tensorrt_rtx._product import PRODUCT

BACKEND = TensorRTBackend(PRODUCT)
