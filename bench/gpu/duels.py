"""Head-to-heads on a GPU: an engine with itself, with rebuilds of it, and how far rebuilds lie apart.

    python3.10 -m bench.gpu.duels --work FOLDER [--device cuda:0] [--minutes 9] [--aa 20] [--rebuilds 5]

ResNet-50 with random weights in FP16 on TensorRT. "A/A" holds one engine against itself; "rebuild" holds it against others that
were built of the same graph without a timing cache. It can be begun again over the same folder and goes on; what did not fit into
its minutes is not in the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from core.analysis.duels import duel_conditions, duel_text, ratio_text
from core.analysis.summary import build_figures
from core.base.children.call import Fetch
from core.base.precision import Precision
from core.base.progress import Report
from core.benchmark.duel import DuelProtocol
from core.benchmark.measurement import Protocol
from core.intake.take_in import take_in
from core.jobs.device import Device, exclusive, parse_device
from core.request.build_request import BuildRequest, checked
from core.stages.child import run_stage
from core.stages.contestants import duel_of
from core.stages.head_to_head import run_duel
from core.stages.outcome import Outcome, load_outcome
from core.stages.pipeline import run_build
from core.storage.builds import StageName, State
from core.storage.duels import Duel, duel_folder, stored_duel
from core.storage.workspace import Workspace

TACTICS = "edge_mask_convolutions,jit_convolutions"  # what needs no other library


def resnet50(path: Path) -> Path:
    """ResNet-50's layers with batch normalization folded in, random weights; [1, 3, 224, 224] to [1, 1000], ONNX."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def convolution(name: str, source: str, channels: tuple[int, int], kernel: int, stride: int) -> str:
        inputs, outputs = channels
        scale = (1.0 / (inputs * kernel * kernel)) ** 0.5
        weight = (rng.standard_normal((outputs, inputs, kernel, kernel)) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"{name}.w"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"{name}.b"))
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}.w", f"{name}.b"],
                [name],
                name=name,
                kernel_shape=[kernel] * 2,
                strides=[stride] * 2,
                pads=[kernel // 2] * 4,
            )
        )
        return name

    def relu(source: str) -> str:
        nodes.append(helper.make_node("Relu", [source], [f"{source}.relu"], name=f"{source}.relu"))
        return f"{source}.relu"

    last = relu(convolution("stem", "image", (3, 64), 7, 2))
    nodes.append(
        helper.make_node("MaxPool", [last], ["pool"], name="pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    )
    last, wide = "pool", 64
    for stage, (blocks, narrow) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for block in range(blocks):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            inner = relu(convolution(f"{name}.1", last, (wide, narrow), 1, 1))
            inner = relu(convolution(f"{name}.2", inner, (narrow, narrow), 3, stride))
            inner = convolution(f"{name}.3", inner, (narrow, 4 * narrow), 1, 1)
            beside = last if block else convolution(f"{name}.0", last, (wide, 4 * narrow), 1, stride)
            nodes.append(helper.make_node("Add", [inner, beside], [f"{name}.sum"], name=f"{name}.sum"))
            last, wide = relu(f"{name}.sum"), 4 * narrow
    weights.append(numpy_helper.from_array((rng.standard_normal((wide, 1000)) / wide**0.5).astype(np.float32), "fc.w"))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat"),
        helper.make_node("MatMul", ["flat", "fc.w"], ["scores"], name="fc"),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1000]),
    ]
    graph = helper.make_graph(nodes, "resnet50", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def built(
    workspace: Workspace, device: Device, model: str, workspace_mb: int, seconds: float = 1.0, *, force: bool = False
) -> Outcome:
    """The engine of FP16; each `workspace_mb` is a build of its own."""
    found = workspace.model(model)
    request = BuildRequest(
        model=found.digest,
        path="onnx.tensorrt",
        precision=Precision.FP16,
        options={"tactic_sources": TACTICS, "timing_cache": False, "workspace_mb": workspace_mb},
        device="cuda",
        protocol=Protocol(min_seconds=seconds),
    )
    began = time.monotonic()
    build = run_build(workspace, checked(request, found), on_change=lambda *_: None, force=force, place=device.place)
    outcome = load_outcome(workspace, build.key)
    if build.state is not State.DONE or outcome.measurement is None:
        sys.exit(f"The engine was not built and measured: {build.error}")
    print(
        f"built {build.key[:12]} with {workspace_mb} MiB: {outcome.measurement.latency.median_ms:.4f} ms, {outcome.verdict}, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return outcome


def held(workspace: Workspace, device: Device, one: Outcome, other: Outcome, number: int) -> Duel:
    duel = duel_of([one, other], DuelProtocol(max_seconds=120 + number / 1e3))  # each is another one's key
    folder = duel_folder(workspace, duel.key)
    if (before := stored_duel(workspace, duel.key)) and before.state is State.DONE:
        return before
    folder.mkdir(parents=True, exist_ok=True)

    def run(key: str, scratch: Path, report: Report, turn: Fetch) -> None:
        run_stage(StageName.DUEL, scratch, report, device="cuda", build=folder, environment=device.environment, turn=turn)

    return run_duel(workspace, duel, device.place, on_change=lambda *_: None, runner=run, cuda=True)


def everything(work: Path, device: Device, aa: int, rebuilds: int, until: float) -> Iterator[tuple[str, Duel]]:
    workspace = Workspace(work / "workspace")
    work.mkdir(parents=True, exist_ok=True)
    path = work / "resnet50.onnx"
    model = take_in(path if path.exists() else resnet50(path), workspace, name="resnet50").digest
    build = partial(built, workspace, device, model)
    first, same = build(8192), build(8192, 1.01)
    for number in range(aa):
        if time.monotonic() > until:
            return
        yield "A/A", held(workspace, device, first, same, number)
    others = []
    for number in range(rebuilds):
        if time.monotonic() > until:
            return
        others.append(build(8193 + number))
        yield "rebuild", held(workspace, device, first, others[-1], number)
    again = build(8192, force=True)
    print("; ".join(next(figure for figure in build_figures(again) if figure.label == "Median latency").against))
    medians = [one.measurement.latency.median_ms for one in (first, *others, again) if one.measurement]
    print(f"{len(medians)} builds of this graph, measured apart: {min(medians):.4f} to {max(medians):.4f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--device", type=parse_device, default="cuda:0")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--aa", type=int, default=20)
    parser.add_argument("--rebuilds", type=int, default=5)
    asked = parser.parse_args()
    until = time.monotonic() + 60 * asked.minutes
    found: dict[str, list[Duel]] = {}
    os.environ.update(asked.device.environment)  # what this process asks of the driver is of that GPU too
    print(f"{asked.device.place.text}", flush=True)
    with exclusive(asked.device, lambda: None):
        for kind, duel in everything(asked.work, asked.device, asked.aa, asked.rebuilds, until):
            if duel.error:
                sys.exit(f"A head-to-head was cut off: {duel.error}")
            ratio = duel.ratio(*duel.keys)
            medians = [statistics.median(start.median_ms(key) for start in duel.starts) for key in duel.keys]
            print(f"{kind:8}{medians[0]:.4f} {medians[1]:.4f} ms  {ratio_text(ratio)}  {duel_text(duel)}", flush=True)
            found.setdefault(kind, []).append(duel)
    for kind, duels in found.items():
        known = [ratio for duel in duels if (ratio := duel.ratio(*duel.keys))]
        different = sum(not ratio.low <= 1 <= ratio.high for ratio in known)
        print(
            f"{kind}: {len(known)} head-to-heads, {different} called different, "
            f"ratios {min(r.ratio for r in known):.4f} to {max(r.ratio for r in known):.4f}, "
            f"starts {statistics.mean(len(duel.starts) for duel in duels):.1f}, "
            f"seconds {statistics.median(duel.stage.seconds or 0 for duel in duels):.1f}"
        )
        print(" ".join(dict.fromkeys(text for duel in duels for text in duel_conditions(duel))))


if __name__ == "__main__":
    main()
