"""A preflight as a user runs it: kept answers, failures that stay with their target, exit codes, small files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core.backends.base import BuildConfig
from core.base.children.call import Child
from core.base.errors import Unavailable
from core.base.progress import Progress, Report
from core.graph.support import Verdict
from core.intake.add_model import add_model
from core.models.model import Model
from core.onnxio.file import save_onnx
from core.preflight import run
from core.preflight.answer import Preflight
from core.preflight.run import answer_folders, preflight
from core.preflight.subgraph import write_subgraph
from core.preflight.targets import chosen_targets, targets_for
from core.stages.child import run_stage
from core.storage.builds import StageName
from core.storage.workspace import Workspace
from tests import asked_models as models
from tests.crashing import crash
from tests.digits import copy_into
from tests.integration.tiny import write_tiny_onnx

ROOT = Path(__file__).parents[2]
RTX, OPENVINO, ORT, LITERT = "tensorrt_rtx", "openvino", "onnxruntime", "litert"

pytestmark = pytest.mark.usefixtures("forked")


def stored(workspace: Workspace, made: onnx.ModelProto, folder: Path, name: str = "asked.onnx") -> Model:
    save_onnx(made, folder / name)
    return add_model(folder / name, workspace)


def asked(workspace: Workspace, model: Model, *names: str, **more: Any) -> Preflight:
    return preflight(workspace, model, chosen_targets(model, names), **more)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def test_every_target_is_asked_and_those_that_cannot_be_say_why(workspace: Workspace, tmp_path: Path) -> None:
    model = stored(workspace, models.non_zero(), tmp_path)
    paths, unasked = targets_for(model)
    assert {path.backend for path in paths} >= {OPENVINO, ORT}
    assert all(one.reason for one in unasked)
    assert {path.backend for path in paths} | {one.backend for one in unasked} == {"tensorrt", RTX, OPENVINO, ORT}
    told = preflight(workspace, model, paths, unasked=unasked)
    found = {target.backend: target for target in told.targets}
    assert found[ORT].takes_all
    assert found[OPENVINO].takes_all
    if RTX in found:
        (cut,) = found[RTX].answer.support.cuts  # type: ignore[union-attr]
        assert cut.name == "nz"


def test_a_second_time_nothing_is_asked(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = stored(workspace, models.custom_between(), tmp_path)
    first = asked(workspace, model, ORT, OPENVINO)

    def no_child(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(Child, "call", no_child)
    assert asked(workspace, model, ORT, OPENVINO) == first
    assert set(answer_folders(workspace, model, targets_for(model)[0])) == {ORT, OPENVINO}


def test_another_version_of_a_runtime_is_asked_anew(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stored(workspace, models.taken(), tmp_path)
    asked(workspace, model, ORT)
    paths = chosen_targets(model, [ORT])
    assert answer_folders(workspace, model, paths)
    monkeypatch.setattr(run, "backend_version", lambda name: {name: "another"})
    assert not answer_folders(workspace, model, paths)


def test_a_runtime_that_crashes_fails_alone_and_its_last_node_is_told(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ask", crash)
    told = asked(workspace, stored(workspace, models.taken(), tmp_path), ORT, OPENVINO)
    ort, openvino = told.targets
    assert ort.takes_all
    assert openvino.answer is None
    assert openvino.failure is not None
    assert openvino.failure.kind == "StageCrashed"
    ended, _, node = openvino.failure.message.partition(". ")
    assert ended == "The process that asked OpenVINO was ended by SIGSEGV: a fault in native code"
    assert node == "The last node that it was at: Fancy the\nlast one."
    assert "--subgraph" in openvino.failure.hint


def test_unnamed_nodes_have_the_names_that_a_build_gives_them(workspace: Workspace, tmp_path: Path) -> None:
    model = add_model(write_tiny_onnx(tmp_path / "tiny.onnx", named=False), workspace)
    (target,) = asked(workspace, model, ORT).targets
    assert target.answer is not None
    assert [node.name for node in target.answer.support.nodes][:2] == ["Conv_0", "Relu_1"]
    assert target.answer.graph.artifact  # the model with names, as builds make it
    shutil.rmtree(workspace.artifacts / target.answer.graph.artifact)
    (again,) = asked(workspace, model, ORT).targets
    assert again.answer is not None
    assert workspace.artifact(again.answer.graph.artifact or "")


def test_what_simplifying_folds_is_taken_by_a_target_that_simplifies(workspace: Workspace, tmp_path: Path) -> None:
    """NonZero of a weight is gone before TensorRT-RTX sees the graph."""
    nodes = [
        models.node("NonZero", "w", "i", "nz"),
        models.node("Cast", "i", "f", "cast", to=1),
        models.node("Add", "x f", "y", "add"),
    ]
    model = stored(workspace, models.model(nodes, weights={"w": np.ones((2, 1), np.float32)}), tmp_path)
    (target,) = asked(workspace, model, RTX).targets
    assert target.answer is not None
    found = {node.name: node for node in target.answer.support.nodes}
    assert target.takes_all
    assert found["nz"].reason == "Simplifying folds or removes it, before TensorRT-RTX sees the graph."
    assert target.answer.asked != target.answer.graph
    assert "1 of 3 nodes are left in it." in target.answer.support.notes[0]


def test_a_savedmodel_is_asked_about_as_its_paths_convert_it(workspace: Workspace, digits_made: Workspace) -> None:
    """Every target takes all of the digits sample; the conversion to ONNX is the build's own."""
    model = copy_into(workspace, digits_made).model
    steps: list[Progress] = []
    told = preflight(workspace, model, targets_for(model)[0], report=steps.append)
    assert [target.failure for target in told.targets] == [None] * len(told.targets)
    assert all(target.takes_all for target in told.targets)
    found = {target.backend: target.answer for target in told.targets}
    assert {target.backend: target.path for target in told.targets}[OPENVINO] == "savedmodel.onnx.openvino"
    onnx_form, tflite_form = found[ORT].graph, found[LITERT].graph  # type: ignore[union-attr]
    assert (onnx_form.reused, tflite_form.format.value) == (True, "tflite")
    assert len(found[ORT].support.nodes) == sum(onnx_form.ops.values())  # type: ignore[union-attr]
    assert steps[-1].fraction is not None
    assert not any("Loading TensorFlow" in step.message for step in steps if step.message.startswith("ONNX Runtime"))


def test_a_model_that_no_stage_can_read_is_tried_once_for_all_targets(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored file was damaged meanwhile."""
    model = add_model(write_tiny_onnx(tmp_path / "tiny.onnx"), workspace)
    workspace.model_path(model).write_bytes(b"no model")
    ran = []
    monkeypatch.setattr(run, "run_stage", lambda name, *more: (ran.append(name), run_stage(name, *more)))
    told = asked(workspace, model, ORT, OPENVINO, RTX)
    assert ran == [StageName.CONVERT]
    assert {target.failure.message for target in told.targets if target.failure} == {
        "model.onnx could not be read as ONNX: Not a protobuf message."
    }


def test_litert_tells_the_operators_that_it_has_no_kernel_for(tmp_path: Path) -> None:
    """A TFLite file with an op of the user's own, made by renaming the code of a known one."""
    tflite = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    from core.backends.litert import BACKEND
    from core.base.progress import silent
    from core.base.tensors import Signature
    from core.models.model import Format, Source

    float32, add, neg, custom = 0, tflite.BuiltinOperator.ADD, tflite.BuiltinOperator.NEG, tflite.BuiltinOperator.CUSTOM
    made = tflite.ModelT()
    made.version = 3
    made.buffers = [tflite.BufferT()]
    made.operatorCodes = []
    for builtin, name in ((neg, None), (custom, "Fancy"), (add, None)):
        code = tflite.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode, code.version = builtin, min(builtin, 127), name, 1
        made.operatorCodes.append(code)
    graph = tflite.SubGraphT()
    graph.tensors = []
    for name in "xaby":
        tensor = tflite.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [2], float32, 0
        graph.tensors.append(tensor)
    graph.operators = []
    for code_index, inputs, output in ((0, [0], 1), (1, [1], 2), (2, [2, 0], 3)):
        operator = tflite.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = code_index, inputs, [output]
        if code_index == 2:
            operator.builtinOptionsType, operator.builtinOptions = tflite.BuiltinOptions.AddOptions, tflite.AddOptionsT()
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [3]
    made.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    path = tmp_path / "m.tflite"
    path.write_bytes(bytes(builder.Output()))

    source = Source(path=path, format=Format.TFLITE, signature=Signature(name="main", inputs=(), outputs=()))
    support = BACKEND.preflight(source, BuildConfig(), tmp_path, silent)
    assert [node.verdict for node in support.nodes] == [Verdict.TAKEN, Verdict.REFUSED, Verdict.TAKEN]
    assert support.nodes[1].reason == "Encountered unresolved custom op: Fancy."
    assert support.nodes[1].stands_between


def test_a_node_is_written_as_a_small_file(workspace: Workspace, tmp_path: Path) -> None:
    model = stored(workspace, models.weighted(), tmp_path)
    (target,) = asked(workspace, model, ORT).targets
    assert target.answer is not None
    write_subgraph(workspace, model, target.answer, ["matmul"], tmp_path / "small.onnx")
    small = onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(small, full_check=True)
    assert [one.name for one in small.graph.node] == ["matmul"]


# --- the command ------------------------------------------------------------------------------------------------------


def engineroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ENGINEROOM_WORKSPACE": str(home / "workspace")}
    command = [sys.executable, "-m", "core.cli", "preflight", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def saved(made: onnx.ModelProto, folder: Path) -> str:
    save_onnx(made, folder / "given.onnx")
    return str(folder / "given.onnx")


@pytest.mark.usefixtures("real_processes")
def test_a_script_reads_json_and_the_exit_code(tmp_path: Path) -> None:
    done = engineroom(tmp_path, saved(models.custom_between(), tmp_path), "-t", ORT, "-t", "openvino", "--json")
    assert done.returncode == 12, done.stderr
    told = json.loads(done.stdout)
    assert told["exit_code"] == 12
    ort, openvino = told["targets"]
    assert (ort["target"], ort["takes_all"], ort["regions"], ort["cuts"]) == (ORT, False, 2, ["odd one"])
    assert ort["counts"] == {"supported": 2, "not supported": 1, "not told": 0}
    (problem,) = openvino["problems"]
    assert (problem["op"], problem["nodes"]) == ("my.ops.Fancy", ["odd one"])
    assert problem["between"] == {"odd one": "regions 1 and 2"}
    assert problem["reason"] == "No conversion rule found for my.ops.Fancy"


def test_a_table_says_who_takes_the_whole(tmp_path: Path) -> None:
    done = engineroom(tmp_path, saved(models.odd_names(), tmp_path))
    assert done.returncode == 12, done.stderr
    said = " ".join(done.stdout.split())
    assert "ONNX Runtime onnx.onnxruntime 7 0 0 1 region takes all 7 nodes" in said
    assert "TensorRT-RTX onnx.tensorrt_rtx 6 1 0 2 regions, parted by 1 node refuses 1 of 7 nodes" in said
    assert "p | q" in said
    assert "ONNX Runtime and OpenVINO take the whole model: ONNX Runtime (onnx.onnxruntime), OpenVINO (onnx.openvino)." in said


def test_all_taken_is_exit_code_0(tmp_path: Path) -> None:
    assert engineroom(tmp_path, saved(models.taken(), tmp_path)).returncode == 0


def test_a_node_comes_out_as_a_file(tmp_path: Path) -> None:
    out = tmp_path / "odd.onnx"
    given = saved(models.odd_names(), tmp_path)
    done = engineroom(tmp_path, given, "-t", ORT, "--subgraph", models.ODD_NAMES[3], "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert onnx.load(out).graph.node[0].name == models.ODD_NAMES[3]
    missing = engineroom(tmp_path, given, "-t", ORT, "--subgraph", "nothing", "--out", str(out))
    assert missing.returncode == 3
    assert "no node called nothing" in missing.stderr
    alone = engineroom(tmp_path, given, "--subgraph", "nothing")
    assert alone.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-t", "tensorflow"), 2, "No path leads from given.onnx to TensorFlow."),
        (("-t", "litert"), 2, "No path leads from given.onnx to LiteRT."),
        (("-t", "nothing"), 2, "No backend is called 'nothing'."),
        (("-t", ORT, "--option", "plugins=/x.so"), 2, "ONNX Runtime has no option 'plugins'."),
        (("-t", ORT, "--signature", "other"), 2, "has no signature 'other'"),
    ],
)
def test_a_wrong_request_is_told(arguments: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    done = engineroom(tmp_path, saved(models.taken(), tmp_path), *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_missing_plugin_is_that_targets_failure(tmp_path: Path) -> None:
    done = engineroom(tmp_path, saved(models.taken(), tmp_path), "-t", RTX, "-t", ORT, "--option", "plugins=/nowhere.so")
    assert done.returncode == 4, done.stderr
    assert "TensorRT-RTX: The plugin library /nowhere.so could not be loaded." in done.stderr
    assert "takes all 2 nodes" in done.stdout


def test_a_file_above_2_gib_is_told(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.write(models.taken().SerializeToString())
        file.truncate((1 << 31) + 10)
    done = engineroom(tmp_path, str(path))
    assert done.returncode == 3
    assert "larger than 2 GiB" in done.stderr


def test_a_target_waits_for_its_turn_unless_its_answer_is_kept(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    model = add_model(write_tiny_onnx(tmp_path / "tiny.onnx"), workspace)

    def taken(backend: str, report: Report) -> Any:
        raise Unavailable(f"{backend} was not asked.", hint="Ask again.")

    (target,) = asked(workspace, model, ORT, turn=taken).targets
    assert target.failure is not None
    assert (target.failure.message, target.answer) == (f"{ORT} was not asked.", None)
    assert asked(workspace, model, ORT).targets[0].takes_all
    assert asked(workspace, model, ORT, turn=taken).targets[0].takes_all
