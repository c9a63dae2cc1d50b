"""OpenVINO: reads ONNX, SavedModels and TFLite itself and runs them on the CPU."""

from core.backends.openvino._backend import OpenVino

BACKEND = OpenVino()
