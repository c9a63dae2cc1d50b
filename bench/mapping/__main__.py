"""The mapping's score.

python -m bench.mapping [MODEL ...] [--engines onnxruntime openvino ...] [--precision fp16] [--only WORD ...] [--json FILE]

Without models: every node test and every light network of the onnx package. A model is a file, or a SavedModel's folder. Each is
built through the backend; then every source node is placed in a layer, folded or eliminated for a reason, or unmapped, and those
that are placed are held against the rule book (rules.py) and, of ONNX Runtime, against the values of all tensors (values.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.in_turn import CHILD, Ended, answering, done
from bench.mapping.score import Ask, scored, table
from bench.onnx_models import written

_SECONDS = 900  # that one model may take, on a busy machine
_LISTED = (("wrong_nodes", "wrong"), ("unmapped_nodes", "unmapped"), ("idle_layers", "no node"))


def _asks(given: argparse.Namespace, folder: Path) -> list[Ask]:
    models = [str(path) for path in given.models] or [str(case.path) for case in written(folder, given.only)]
    return [Ask(model=model, engine=engine, precision=given.precision) for engine in given.engines for model in models]


def _told(ask: Ask, counts: dict[str, Any]) -> Iterator[str]:
    name = f"{ask.engine} {Path(ask.model).stem}"
    if "broke" in counts:
        yield f"{name}: broke: {counts['broke']}"
    for key, word in _LISTED:
        for one in counts.get(key, ()):
            text = f"{one['node']} in {one['layer']}: {one['rule']}: {one['why']}" if isinstance(one, dict) else one
            yield f"{name}: {word}: {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--engines", nargs="+", default=["onnxruntime", "openvino", "tensorrt_rtx"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "fp16", "int8"])
    parser.add_argument("--only", nargs="+", default=[], help="words in the names of the onnx package's models")
    parser.add_argument("--json", type=Path)
    parser.add_argument(CHILD, action="store_true")
    given = parser.parse_args()
    if given.child:
        answering(lambda task: scored(Ask(**task)))
        return 0
    found = []
    with tempfile.TemporaryDirectory(prefix="mapping-models-") as folder:
        asks = _asks(given, Path(folder))
        for ask, (_, answer) in zip(asks, done("bench.mapping", map(asdict, asks), seconds=_SECONDS), strict=True):
            counts = {"broke": str(answer)} if isinstance(answer, Ended) else answer
            found.append((ask, counts))
            for line in _told(ask, counts):
                print(line, flush=True)
    print(f"\n{table(found)}")
    if given.json:
        given.json.write_text(json.dumps([{**asdict(ask), **counts} for ask, counts in found], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
