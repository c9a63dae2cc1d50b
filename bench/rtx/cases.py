"""The onnx package's own test models on TensorRT-RTX: how many build, how many are refused in its words, how many broke.

python -m bench.rtx.cases [--only NAME ...] [--refused]

All of its node tests that have a float input, and its nine light networks. A case is built through the backend, in FP32, in a
child process that takes one after the other. What ends the child broke, as did any error that is not told in a sentence, a line
of the builder's log that could not be read, and a node that is neither in a layer nor told why not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx

from bench.in_turn import CHILD, Ended, answering, done
from bench.onnx_models import LIGHT, NODE_TESTS, takes_floats, written

BUILT, REFUSED, BROKE = "built", "refused", "broke"
BACKEND = "tensorrt_rtx"
SECONDS = 600  # that one case may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model's outcome; `reason` is the sentence of a refusal, or how it broke."""

    name: str
    group: str
    outcome: str
    reason: str = ""
    layers: int = 0


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


def run(cases: Sequence[tuple[str, Path]]) -> Iterator[Case]:
    """Builds all of them, by group and file; a child that ends early is started again behind the case that ended it."""
    tasks = [str(path) for _, path in cases]
    for (group, path), (_, answer) in zip(cases, done("bench.rtx.cases", tasks, SECONDS), strict=True):
        outcome, reason, layers = (BROKE, str(answer), 0) if isinstance(answer, Ended) else answer
        yield Case(name=path.stem, group=group, outcome=outcome, reason=reason, layers=layers)


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
    parser.add_argument(CHILD, action="store_true")
    given = parser.parse_args()
    if given.child:
        answering(lambda path: build(Path(path)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        every = written(Path(folder))
        paths = [(LIGHT, case.path) for case in every if case.group == LIGHT]
        nodes = (case for case in every if case.group == NODE_TESTS and takes_floats(onnx.load(case.path)))
        paths += [(f"{NODE_TESTS} with a float input", case.path) for case in nodes]
        cases = list(run([(group, path) for group, path in paths if not given.only or path.stem in given.only]))
    if given.json:
        given.json.write_text(json.dumps([asdict(case) for case in cases], indent=1))
    print(report(cases, refused=given.refused))
    return int(any(case.outcome == BROKE for case in cases))


if __name__ == "__main__":
    sys.exit(main())
