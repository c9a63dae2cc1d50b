"""Writes the four sample networks in every precision a TensorRT version takes, ready to build on a GPU machine.

    python -m bench.gpu.make_precision_graphs OUT [--target tensorrt-8.6] [--networks resnet50 bert] [--samples 32]

OUT/<network>/<precision>/model.onnx, and result.json beside each with the builder flags it needs. Calibration data are
noise pictures and token ids, as the networks have random weights; OUT/<network>-0-<samples>.npz holds them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.networks import inputs_file, onnx_of
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.base.serialization import write_json
from core.precision.calibration.samples import SampleSource
from core.precision.prepare import prepare
from core.precision.target import check_target, parse_target

NETWORKS = ("resnet50", "mobilenetv2", "efficientnetb0", "bert")


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the sample networks in every precision.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--target", default="tensorrt-8.6")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--samples", type=int, default=32)
    arguments = parser.parse_args()
    target = parse_target(arguments.target)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for network in arguments.networks:
        source = onnx_of(network)
        calibration = inputs_file(network, arguments.samples, 0, arguments.out)
        for precision in Precision:
            folder = arguments.out / network / precision.value
            folder.mkdir(parents=True, exist_ok=True)
            try:
                check_target(precision, target)
                result = prepare(source, folder, precision, target=target, data=SampleSource(path=calibration))
            except EngineRoomError as error:
                folder.rmdir()
                print(f"{network:15s} {precision.value:5s} not written: {error}")
                failed += not _is_refusal(precision, target.version)
                continue
            write_json(folder / "result.json", result)
            size = (folder / result.entry).stat().st_size / 1e6
            print(
                f"{network:15s} {precision.value:5s} {size:7.1f} MB  {result.seconds or 0:5.1f} s  opset {result.opset}  "
                f"{len(result.converted)} converted, {len(result.kept)} kept, {len(result.violations)} violations",
                flush=True,
            )
    return int(failed > 0)


def _is_refusal(precision: Precision, version: tuple[int, int]) -> bool:
    return precision in (Precision.BF16, Precision.FP8) and version < (10, 0)


if __name__ == "__main__":
    sys.exit(main())
