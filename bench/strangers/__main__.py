"""Every model of the onnx package's backend tests, on every path from ONNX that is here.

python -m bench.strangers --kept FILE [--backends onnxruntime openvino tensorrt_rtx] [--only WORD ...] [--again WORD ...]
python -m bench.strangers --kept FILE --report

What was found is kept in the file, a line a model, so a run that was stopped goes on; `--again` tries once more what came of it
with these words in its outcome, such as fault. Each model is read, built, looked into and run on the inputs that it brings, and
its outputs are held against those of ONNX Runtime with no graph optimization, as a build does it. What ends its process is a
fault here; a build's own process may end so, and its stage is then told to have crashed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.in_turn import CHILD, Ended, answering, done
from bench.onnx_models import Case, written
from bench.strangers.attempt import Came, Outcome, attempt
from bench.strangers.kept import Key, as_line, kept, settled
from bench.strangers.report import Row, text

BACKENDS = ("onnxruntime", "openvino", "tensorrt_rtx")
SECONDS = 600
NICENESS = 15


def found(cases: Sequence[Case], backends: Sequence[str], before: dict[Key, Row]) -> Iterator[Row]:
    left = [(case, backend) for backend in backends for case in cases if (backend, case.group, case.name) not in before]
    tasks = [{"path": str(case.path), "backend": backend} for case, backend in left]
    for (case, backend), (_, answer) in zip(left, done("bench.strangers", tasks, SECONDS, NICENESS), strict=True):
        outcome = _outcome(answer)
        yield Row(model=case.name, group=case.group, backend=backend, outcome=outcome)


def _outcome(answer: Any) -> Outcome:
    if isinstance(answer, Ended):
        return Outcome(came=Came.FAULT, where="its process", reason=str(answer))
    return Outcome(came=Came(answer["came"]), where=answer["where"], reason=answer["reason"])


def _answer(task: dict[str, str]) -> dict[str, str]:
    outcome = attempt(Path(task["path"]), task["backend"])
    return {"came": outcome.came.value, "where": outcome.where, "reason": outcome.reason}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument("--only", nargs="+", default=[], help="words in the models' names")
    parser.add_argument("--again", nargs="+", default=[], help="words in outcomes that are tried again")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--few", type=int, default=1, help="refusals of fewer models for one reason are only counted")
    parser.add_argument(CHILD, action="store_true")
    given = parser.parse_args()
    if given.child:
        answering(_answer)
        return 0
    if given.kept is None:
        parser.error("--kept FILE is needed")
    before = kept(given.kept)
    if not given.report:
        known = settled(before, given.again)
        with tempfile.TemporaryDirectory(prefix="strangers-models-") as folder, given.kept.open("a", encoding="utf-8") as lines:
            for row in found(written(Path(folder), given.only), given.backends, known):
                print(as_line(row), file=lines, flush=True)
    rows = list(kept(given.kept).values())
    print(text(rows, given.few))
    return int(any(row.outcome.came is Came.FAULT for row in rows))


if __name__ == "__main__":
    sys.exit(main())
