"""Do verdicts hold? Head-to-heads of an engine with itself and with one that is 3 % slower, and measuring apart.

python -m bench.verdicts [--runs 100] [--lanes 1] [--cpus 2] [--loads 0 3] [--budget 600]

The engines are chains of matrix products on ONNX Runtime, of 100 and of 103 links: the second takes 3 % longer by construction.
A lane is a process with so many processors of its own and, under a load, so many others that never rest on the same ones. Every
start of an engine is a boxed process, as in the product. "Apart" is two measurements of one engine of their own, judged as
Compare judges them, with what the lane's head-to-heads so far have told of the machine. `--budget` is seconds for each load;
what was not reached by then is not in the table, and the counts say so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.analysis.candidate import candidate_from
from core.analysis.versus import Versus
from core.base.children.call import Fetch
from core.base.progress import Report, silent
from core.benchmark.duel import DuelProtocol
from core.benchmark.machine import processor, usable_cpus
from core.benchmark.measurement import Protocol
from core.benchmark.statistics import Winner
from core.intake.take_in import take_in
from core.request.build_request import BuildRequest, checked
from core.stages.child import run_stage
from core.stages.contestants import duel_of
from core.stages.head_to_head import run_duel
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import Place, StageName
from core.storage.duels import Duel, duel_folder, duel_key
from core.storage.workspace import Workspace

LINKS, SLOWER_LINKS, WIDTH = 100, 103, 192
PLACE = Place(host=socket.gethostname(), device="cpu:0", name="processor")


def chain(links: int, path: Path) -> Path:
    """A model of so many matrix products one after the other, ONNX."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32)
    nodes, last = [], "x"
    for link in range(links):
        nodes += [
            helper.make_node("MatMul", [last, "w"], [f"p{link}"]),
            helper.make_node("Tanh", [f"p{link}"], [f"t{link}"]),
        ]
        last = f"t{link}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [8, WIDTH]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def built(workspace: Workspace, model: Path, seconds: float) -> Outcome:
    found = workspace.model(take_in(model, workspace, name=model.stem).digest)
    request = BuildRequest(model=found.digest, path="onnx.onnxruntime", protocol=Protocol(min_seconds=seconds))
    build = run_build(workspace, checked(request, found), on_change=lambda *_: None, place=PLACE)
    return load_outcome(workspace, build.key)


def held(workspace: Workspace, one: Outcome, other: Outcome, number: int) -> Duel:
    """One head-to-head; they may be of two models here."""
    protocol = DuelProtocol(max_seconds=600 + number / 1e3)  # each is another one's key
    first = duel_of([one, replace(other, model=one.model)], protocol)
    duel = replace(first, key=duel_key(first.contestants, protocol))
    folder = duel_folder(workspace, duel.key)
    folder.mkdir(parents=True)

    def run(key: str, scratch: Path, report: Report, turn: Fetch) -> None:
        run_stage(StageName.DUEL, scratch, report, build=folder, turn=turn)

    return run_duel(workspace, duel, PLACE, on_change=lambda *_: None, runner=run)


def again(workspace: Workspace, outcome: Outcome) -> Outcome:
    """Measured anew."""
    run_stage(StageName.MEASURE, workspace.build_folder(outcome.build.key), silent)
    return load_outcome(workspace, outcome.build.key)


def lane(tasks: Sequence[str], until: float, cpus: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What each task found."""
    os.sched_setaffinity(0, cpus)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        fast, slow = (chain(links, Path(folder) / f"chain{links}.onnx") for links in (LINKS, SLOWER_LINKS))
        one, same, other = built(workspace, fast, 0.5), built(workspace, fast, 0.51), built(workspace, slow, 0.5)
        duels: list[Duel] = []
        for number, task in enumerate(tasks):
            if time.time() > until:
                return
            began = time.monotonic()
            told: dict[str, Any] = {"task": task}
            if task == "apart":
                one, same = again(workspace, one), again(workspace, same)
                ratio = Versus().ratio(candidate_from(one), candidate_from(same))
                if ratio is None or one.measurement is None or same.measurement is None:
                    raise SystemExit("An engine was not measured.")
                bar = Versus(duels[::-1]).apart(one.measurement, same.measurement)
                low, high = ratio.low * ratio.apart, ratio.high / ratio.apart
                told |= {"medians": [two.measurement.latency.median_ms for two in (one, same) if two.measurement], "bar": bar}
                told |= {"wrong": low > bar or high < 1 / bar, "wrong before": low > 1.02 or high < 1 / 1.02}
            else:
                duel = held(workspace, one, same if task == "A/A" else other, number)
                duels.append(duel)
                ratio = duel.ratio(*duel.keys)
                if duel.error or ratio is None:
                    raise SystemExit(f"A head-to-head was cut off: {duel.error}")
                told |= {"winner": ratio.winner.value, "ratio": ratio.ratio, "starts": len(duel.starts), "settled": duel.settled}
                told |= {"low": ratio.low, "high": ratio.high}
                told |= {"log ratios": [round(start.log_ratio(*duel.keys), 5) for start in duel.starts]}
            yield {**told, "seconds": time.monotonic() - began}


def rest_never(cpus: Sequence[int]) -> None:
    """Takes processors from others, in bursts of its own."""
    os.sched_setaffinity(0, cpus)
    field = np.random.default_rng().random((64, 64))
    while os.getppid() > 1:
        field = field @ field
        field /= np.abs(field).max()


def lanes(count: int, cpus: int, load: int, runs: int, budget: float, kept: Path | None) -> list[dict[str, Any]]:
    """What all lanes found; a line of each at once in the file `kept`."""
    usable = usable_cpus()
    parts = [usable[index * cpus : (index + 1) * cpus] for index in range(count)]
    tasks = [[task for _ in range(index, runs, count) for task in ("A/A", "3 %", "apart")] for index in range(count)]
    until = time.time() + budget
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=rest_never, args=(part,), daemon=True) for part in parts for _ in range(load)]
    found: multiprocessing.Queue[dict[str, Any] | None] = context.Queue()
    workers = [context.Process(target=_work, args=(*own, until, found)) for own in zip(tasks, parts, strict=True)]
    for process in (*burners, *workers):
        process.start()
    told: list[dict[str, Any]] = []
    for _ in workers:
        while (one := found.get()) is not None:
            told.append({"load": load, **one})
            if kept:
                with kept.open("a") as file:
                    file.write(json.dumps(told[-1]) + "\n")
    for process in burners:
        process.kill()
    for process in workers:
        process.join()
    return told


def _work(tasks: Sequence[str], part: Sequence[int], until: float, found: Any) -> None:
    try:
        for one in lane(tasks, until, part):
            found.put(one)
    finally:
        found.put(None)


def table(load: int, told: Sequence[dict[str, Any]]) -> None:
    for task, wanted, words in (("A/A", Winner.NEITHER, "called different"), ("3 %", Winner.A, "called different")):
        own = [one for one in told if one["task"] == task]
        if not own:
            continue
        different = sum(one["winner"] != Winner.NEITHER.value for one in own)
        wrong = sum(one["winner"] == Winner.B.value for one in own) if wanted is Winner.A else different
        widths = statistics.median(100 * ((one["high"] / one["low"]) ** 0.5 - 1) for one in own)
        print(
            f"load {load}  {task:5}  {len(own):4} head-to-heads  {different / len(own):6.1%} {words}, {wrong} wrongly  "
            f"median ratio {statistics.median(one['ratio'] for one in own):.4f}  half width {widths:.2f} %  "
            f"starts {statistics.mean(one['starts'] for one in own):.1f}  "
            f"seconds {statistics.median(one['seconds'] for one in own):.1f}  settled {sum(one['settled'] for one in own)}"
        )
    if own := [one for one in told if one["task"] == "apart"]:
        ratios = [max(one["medians"]) / min(one["medians"]) for one in own]
        print(
            f"load {load}  apart  {len(own):4} pairs of measurements  {sum(one['wrong'] for one in own)} winners called wrongly  "
            f"(by intervals within a run and 2 %: {sum(one['wrong before'] for one in own)})  "
            f"medians up to {max(ratios):.2f}x apart, in the middle {statistics.median(ratios):.3f}x  "
            f"repeats known to differ by {statistics.median(one['bar'] for one in own):.2f}x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 3])
    parser.add_argument("--budget", type=float, default=1e9)
    parser.add_argument("--json", type=Path, help="Keep a line of each thing that was found here.")
    asked = parser.parse_args()
    if asked.lanes * asked.cpus > len(usable_cpus()):
        sys.exit(f"{asked.lanes} lanes of {asked.cpus} processors were asked for; {len(usable_cpus())} are here.")
    print(f"{processor()}, {asked.lanes} lanes of {asked.cpus} processors, load average {os.getloadavg()[0]:.1f} before")
    for load in asked.loads:
        table(load, lanes(asked.lanes, asked.cpus, load, asked.runs, asked.budget, asked.json))


if __name__ == "__main__":
    main()
