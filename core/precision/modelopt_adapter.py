"""Runs NVIDIA's ModelOpt; started by `core.precision.modelopt` in ModelOpt's own interpreter, which has nothing of ours.

The request, JSON on standard input, names the model, the folder of samples (one .npz each), the output and the settings; the
answer is a line of JSON on the descriptor that ENGINEROOM_EVENTS names. Imports of ModelOpt patch ONNX Runtime, which is why it
gets a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class FolderReader:
    """A calibration data reader over a folder of samples, as ModelOpt asks for it."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.npz"))
        self.rewind()

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rest, None)

    def get_first(self) -> dict[str, Any]:
        return next(self._read())

    def rewind(self) -> None:
        self.rest = self._read()

    def _read(self) -> Iterator[dict[str, Any]]:
        for file in self.files:
            with np.load(file, allow_pickle=False) as arrays:
                yield {name: arrays[name] for name in arrays.files}


def autocast(request: dict[str, Any]) -> None:
    import onnx
    from modelopt.onnx.autocast import convert_to_mixed_precision

    model = convert_to_mixed_precision(
        request["model"],
        low_precision_type=request["precision"],
        nodes_to_exclude=request["keep_nodes"],
        op_types_to_exclude=request["keep_ops"],
        keep_io_types=request["keep_io_types"],
        calibration_data=request["first_sample"],
        opset=request["opset"],
    )
    onnx.save(model, request["output"])


def quantize(request: dict[str, Any]) -> None:
    from modelopt.onnx.quantization import quantize as run

    run(
        request["model"],
        quantize_mode=request["precision"],
        calibration_data_reader=FolderReader(Path(request["samples"])),
        calibration_method=request["method"],
        calibration_eps=["cpu"],
        op_types_to_exclude=request["keep_ops"] or None,
        nodes_to_exclude=request["keep_nodes"] or None,
        high_precision_dtype=request["rest"],
        output_path=request["output"],
        opset=request["opset"],
    )


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # it ends with the process that asked
    request = json.loads(sys.stdin.readline())
    os.chdir(Path(request["output"]).parent)
    (quantize if request["quantizes"] else autocast)(request)
    os.write(int(os.environ["ENGINEROOM_EVENTS"]), b'{"answer": null}\n')


if __name__ == "__main__":
    main()
