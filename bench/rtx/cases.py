"""The onnx package's own test models on TensorRT-RTX: how many build, how many are refused in its words, how many broke.

python -m bench.rtx.cases [--only NAME ...] [--refused]

All of its node tests that have a float input, and its nine light networks. A case is built through the backend, in FP32, in a
child process that takes one after the other. What ends the child broke, as did any error that is not told in a sentence, a line
of the builder's log that could not be read, and a node that is neither in a layer nor told why not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

BUILT, REFUSED, BROKE = "built", "refused", "broke"
BACKEND = "tensorrt_rtx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model's outcome; `reason` is the sentence of a refusal, or how it broke."""

    name: str
    group: str
    outcome: str
    reason: str = ""
    layers: int = 0


def node_models() -> Iterator[tuple[str, onnx.ModelProto]]:
    """The node tests' models that take floats, by name."""
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        if case.kind != "node" or case.model is None:
            continue
        kinds = {value.type.tensor_type.elem_type for value in case.model.graph.input if value.type.HasField("tensor_type")}
        if TensorProto.FLOAT in kinds:
            yield case.name, case.model


def light_networks() -> list[Path]:
    return sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def build(path: Path) -> tuple[str, str, int]:
    """Outcome, reason and number of layers of one model, in this process."""
    from core.backends.base import BuildConfig, backend_named
    from core.base.errors import EngineRoomError
    from core.base.progress import silent
    from core.models.model import Format, Source
    from core.models.onnx_model import read_onnx_model

    backend = backend_named(BACKEND)
    with tempfile.TemporaryDirectory() as folder:
        try:
            signature = read_onnx_model(path).signatures[0]
            source = Source(path=path, format=Format.ONNX, signature=signature)
            engine = backend.build(source, BuildConfig(), Path(folder), silent)
            graph = backend.describe(engine)
        except EngineRoomError as error:
            return REFUSED, error.message, 0
        unread = [note for note in graph.notes if "could not be read" in note]
        unmapped = [f"{node.op} {node.name} is nowhere" for node in graph.unmapped]
        if not graph.layers or unread or unmapped:
            return BROKE, "; ".join([*unread, *unmapped]) or "no layers were told", len(graph.layers)
        return BUILT, "", len(graph.layers)


def run(paths: Sequence[tuple[str, Path]]) -> Iterator[Case]:
    """Builds all of them; a child that ends early is started again behind the case that ended it."""
    left = list(paths)
    while left:
        command = [sys.executable, "-m", "bench.rtx.cases", "--child", *(str(path) for _, path in left)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        answers = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("[")]
        for (group, path), (outcome, reason, layers) in zip(left, answers, strict=False):
            yield Case(name=path.stem, group=group, outcome=outcome, reason=reason, layers=layers)
        left = left[len(answers) :]
        if left:
            group, path = left.pop(0)
            reason = f"ended the process: {child.returncode} {child.stderr[-300:]}"
            yield Case(name=path.stem, group=group, outcome=BROKE, reason=reason)


def child(paths: Sequence[str]) -> None:
    for path in paths:
        print(json.dumps(build(Path(path))), flush=True)


def report(cases: Sequence[Case], *, refused: bool) -> str:
    lines = ["| models | tried | built | refused, with the reason | broke |", "|---|---|---|---|---|"]
    for group in dict.fromkeys(case.group for case in cases):
        found = Counter(case.outcome for case in cases if case.group == group)
        lines.append(f"| {group} | {found.total()} | {found[BUILT]} | {found[REFUSED]} | {found[BROKE]} |")
    told = [case for case in cases if case.outcome == BROKE or (refused and case.outcome == REFUSED)]
    return "\n".join([*lines, *(["", *(f"- {case.name}: {case.outcome}: {case.reason}" for case in told)] if told else [])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--refused", action="store_true", help="list the refusals too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        paths = [("light networks", path) for path in light_networks()]
        for name, model in node_models():
            path = Path(folder) / f"{name}.onnx"
            onnx.save(model, path)
            paths.append(("node tests with a float input", path))
        wanted = [(group, path) for group, path in paths if not given.only or path.stem in given.only]
        cases = list(run(wanted))
    if given.json:
        given.json.write_text(json.dumps([asdict(case) for case in cases], indent=1))
    print(report(cases, refused=given.refused))
    return int(any(case.outcome == BROKE for case in cases))


if __name__ == "__main__":
    sys.exit(main())
