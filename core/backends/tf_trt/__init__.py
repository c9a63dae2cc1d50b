"""TF-TRT: TensorRT engines inside a TensorFlow graph, for the TensorFlows that still have it (before 2.18)."""

from core.backends.tf_trt._backend import TfTrt

BACKEND = TfTrt()
