"""What a preflight says against what a build does, over the onnx package's own node tests.

python -m bench.preflight onnxruntime openvino tensorrt_rtx [--differing]

Every node test with a float input, those apart that take sequences and are no models here, is asked about and then built by the
same backend, in FP32 and with no simplifying, in a child process that takes one after the other. "Right" is a model that is taken
and built, or refused and not built.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from bench.onnx_models import node_cases, takes_floats
from core.base.children.call import Child, NoAnswer

AT_ONCE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model.

    Attributes:
        told: What the preflight says: "takes", "refuses", "does not tell", or how it failed.
        built: Whether a build came of it.
        seconds: That the preflight took, in a process that has the runtime loaded.
        reasons: Of the preflight and of the build.
    """

    name: str
    told: str
    built: bool
    seconds: float
    reasons: str = ""

    @property
    def kind(self) -> str:
        if self.told not in ("takes", "refuses"):
            return "not told"
        if (self.told == "takes") == self.built:
            return "right"
        return "taken, not built" if self.told == "takes" else "refused, but built"


def judge(backend: str, path: Path) -> Case:
    from core.backends.base import BuildConfig, Preflights, backend_named
    from core.base.errors import EngineRoomError
    from core.base.progress import silent
    from core.graph.support import Verdict
    from core.models.model import Format, Source
    from core.models.onnx_model import read_onnx_model

    found = backend_named(backend)
    if not isinstance(found, Preflights):
        sys.exit(f"{backend} cannot be asked.")
    reasons, built, told, start = [], False, "", time.perf_counter()
    with tempfile.TemporaryDirectory() as asked, tempfile.TemporaryDirectory() as folder:
        try:
            source = Source(path=path, format=Format.ONNX, signature=read_onnx_model(path).signatures[0])
            support = found.preflight(source, BuildConfig(), Path(asked), silent)
            refused, unknown = support.of(Verdict.REFUSED), support.of(Verdict.UNKNOWN)
            told = "refuses" if refused else "does not tell" if unknown else "takes"
            reasons += [node.reason for node in (*refused, *unknown)[:1]]
        except EngineRoomError as error:
            told = error.message
        seconds = time.perf_counter() - start
        try:
            found.build(source, BuildConfig(), Path(folder), silent)
            built = True
        except EngineRoomError as error:
            reasons.append(error.message)
    return Case(name=path.stem, told=told, built=built, seconds=round(seconds, 4), reasons=" | ".join(reasons))


def judge_all(backend: str, paths: list[Path]) -> list[Case]:
    return [judge(backend, path) for path in paths]


def run(backend: str, paths: Sequence[Path]) -> Iterator[Case]:
    """All of them; a model that ends its process is told as such, and the others of its lot are asked about alone."""
    from bench.preflight import judge_all  # not of __main__, which a child does not know

    for start in range(0, len(paths), AT_ONCE):
        lot = list(paths[start : start + AT_ONCE])
        try:
            yield from Child().call(judge_all, backend, lot)
        except NoAnswer:
            for path in lot:
                try:
                    yield from Child().call(judge_all, backend, [path])
                except NoAnswer as end:
                    yield Case(name=path.stem, told=f"the process {end.ending.words}", built=False, seconds=0.0)


def report(backend: str, cases: Sequence[Case], *, differing: bool) -> str:
    found = Counter(case.kind for case in cases)
    seconds = sorted(case.seconds for case in cases)
    row = f"| {backend} | {len(cases)} | {found['right']} | {found['taken, not built']} | {found['refused, but built']} "
    row += f"| {found['not told']} | {seconds[len(seconds) // 2] * 1000:.0f} ms |"
    told = [f"- {case.name}: {case.kind} ({case.told}): {case.reasons[:300]}" for case in cases if case.kind != "right"]
    return "\n".join([row, *(told if differing else [])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="+")
    parser.add_argument("--differing", action="store_true", help="list every model that is not told right")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, model in ((case.name, case.model) for case in node_cases() if takes_floats(case.model)):
            if all(value.type.HasField("tensor_type") for value in model.graph.input):
                paths.append(Path(folder) / f"{name}.onnx")
                onnx.save(model, paths[-1])
        print("| backend | models | right | taken, not built | refused, but built | not told | median of a preflight |")
        print("|---|---|---|---|---|---|---|")
        for backend in given.backends:
            print(report(backend, list(run(backend, paths)), differing=given.differing), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
