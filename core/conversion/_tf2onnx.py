"""What all conversions by tf2onnx share: from a frozen graph to a checked ONNX file with the signature's names.

tf2onnx ends well even when ops were left as they are, so its log, the finished graph and a load by ONNX Runtime
decide. An ONNX node keeps the name of the TensorFlow node that it came from, with a suffix (`__12`) where several did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.base.availability import Availability, from_packages, installed_versions
from core.base.errors import ConversionFailed
from core.base.lean import import_tensorflow
from core.base.progress import Progress, Report
from core.base.tensors import Signature
from core.conversion._failures import ConverterLog, last_words, unsupported
from core.conversion._onnx_finish import keep_signature, load_in_runtime
from core.conversion._onnx_polish import polish
from core.conversion._weights_file import move_to_file
from core.conversion.base import Converted
from core.models.model import Format
from core.models.tf_graph import all_nodes
from core.onnxio import walk
from core.onnxio.file import save_onnx

# TensorRT 8.6, the oldest that TF-TRT's Python 3.10 toolchain meets, reads opsets up to 17; tf2onnx writes up to 18.
OPSET = 17
# From here on, weights are kept out of the graph while converting. TensorFlow's constant folding, which takes sixteen
# times their size in memory, is then left to the runtime.
LARGE_FROM_BYTES = 300_000_000
LOGGER = "tf2onnx"
TOOL = "tf2onnx"
PACKAGES = ("tensorflow", "tf2onnx", "onnx")


def availability() -> Availability:
    """Needs tf2onnx and TensorFlow."""
    tensorflow = from_packages("TensorFlow", "tensorflow-cpu", "tensorflow")
    return from_packages("tf2onnx", "tf2onnx") if tensorflow.available else tensorflow


class FromTensorFlow:
    """What the conversions of TensorFlow's own graphs share; see `Conversion`."""

    target = Format.ONNX
    packages = PACKAGES

    def __init__(self, *, large_from_bytes: int = LARGE_FROM_BYTES) -> None:
        """Weights of `large_from_bytes` and more are kept apart, while converting and in the result."""
        self.large_from_bytes = large_from_bytes

    def availability(self) -> Availability:
        return availability()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A graph that holds its weights as constants, or a TFLite file.

    Attributes:
        graph: A `GraphDef`; None for TFLite.
        inputs: Tensor name to the signature's name, in the signature's order.
        outputs: The same.
        tables: Lookup tables: shared name to keys and values.
        weights: The bytes of large constants that were taken out of the graph, by node name; None when they are in it.
            They end in a file of their own.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    graph: Any = None
    tflite: Path | None = None
    tables: Mapping[bytes, Any] = field(default_factory=dict)
    weights: Mapping[str, bytes] | None = None


def folded(graph: Any, inputs: list[str], outputs: list[str]) -> Any:
    """A frozen graph after TensorFlow's own constant folding, which merges batch normalization into convolutions."""
    tf = import_tensorflow()
    from tf2onnx import tf_loader

    with tf.Graph().as_default():
        tf.import_graph_def(tf_loader.fix_freezing_errors_part2(graph), name="")
        return tf_loader.tf_optimize(inputs, outputs, graph)


def to_onnx(frozen: Frozen, signature: Signature, folder: Path, *, what: str, log: ConverterLog, report: Report) -> Converted:
    """Converts, checks and saves as `model.onnx`, with `model.onnx.data` beside it when weights were taken out.

    Raises:
        UnsupportedOps: Some ops have no translation.
        ConversionFailed: The result is not a valid model, or lacks an input or output.
    """
    if clash := set(frozen.inputs.values()) & set(frozen.outputs.values()):
        raise ConversionFailed(
            f"An input and an output of {what} have the same name ({', '.join(sorted(clash))}), which ONNX does not allow.",
            hint="Export it with different names.",
        )
    report(Progress(message="Translating TensorFlow's ops to ONNX", fraction=0.4))
    path = folder / "model.onnx"
    try:
        graph = _optimized(frozen, report)
        if frozen.weights is not None:
            move_to_file(graph, path.with_name(f"{path.name}.data"))
        model = graph.make_model(f"converted from {what}")
    except Exception as error:
        # An op without translation often makes a later step stumble: the op is the reason to tell.
        if unmapped := _unmapped(log):
            raise unsupported(TOOL, what, unmapped, detail=log.tail) from error
        if node := _failed_node(log):
            raise ConversionFailed(
                f"tf2onnx could not translate node {node} of {what}: {last_words(error)}.",
                hint="Export the model without this step and do it before or after it, or run it in its own framework.",
                detail=log.tail,
            ) from error
        raise
    if left := _leftover(model, log):
        raise unsupported(TOOL, what, left, detail=log.tail)

    report(Progress(message="Checking the ONNX model", fraction=0.9))
    keep_signature(model, signature, what)
    polish(model)
    save_onnx(model, path)
    ops = walk.op_counts(model)
    del model, graph
    notes = []
    if frozen.graph is not None and (given := _count(frozen.graph)):
        notes.append(f"{given} TensorFlow ops became {sum(ops.values())} ONNX ops (opset {OPSET}).")
    if frozen.weights is not None:
        notes.append("The weights are in a file of their own, and constants are left for the runtime to fold.")
    notes += load_in_runtime(path, what)
    return Converted(
        entry="model.onnx",
        format=Format.ONNX,
        signature=signature,
        ops=ops,
        versions=installed_versions(*PACKAGES),
        notes=tuple(notes),
    )


def _translated(frozen: Frozen) -> Any:
    """tf2onnx's own graph, in ONNX's ops where it has them."""
    tf = import_tensorflow()
    from tf2onnx.tfonnx import process_tf_graph

    from core.conversion._tf2onnx_handlers import handlers

    with tf.Graph().as_default() as tf_graph:
        if frozen.graph is not None:
            tf.import_graph_def(frozen.graph, name="")
        return process_tf_graph(
            tf_graph,
            opset=OPSET,
            input_names=list(frozen.inputs),
            output_names=list(frozen.outputs),
            tensors_to_rename={**frozen.inputs, **frozen.outputs},
            const_node_values=frozen.weights,
            custom_op_handlers=handlers(),
            initialized_tables=dict(frozen.tables),
            tflite_path=str(frozen.tflite) if frozen.tflite else None,
        )


def _optimized(frozen: Frozen, report: Report) -> Any:
    """The translated graph after tf2onnx's optimizers.

    tf2onnx's own loop copies every weight at each step, to have something to go back to when a step fails. Failures
    are rare, so its steps first work in place; ResNet50 then takes half the time and memory.
    """
    from tf2onnx.optimizer import optimize_graph

    graph = _translated(frozen)
    report(Progress(message="Simplifying the ONNX graph", fraction=0.7))
    try:
        return _optimized_in_place(graph)
    except Exception:
        return optimize_graph(_translated(frozen), catch_errors=True)


def _optimized_in_place(graph: Any) -> Any:
    from tf2onnx.optimizer import _get_optimizers

    iteration, changed = 0, True
    while changed:
        changed = False
        for optimizer in _get_optimizers().values():
            step = optimizer()
            step.opt_iteration = iteration
            graph = step._optimize(graph)
            graph.delete_unused_nodes(graph.outputs)
            changed = changed or step.graph_been_opt
        iteration += 1
    return graph


def _count(graph: Any) -> int:
    return sum(node.op not in ("Const", "Placeholder", "NoOp") for node in all_nodes(graph))


def _unmapped(log: ConverterLog) -> dict[str, list[str]]:
    """Names of the nodes whose op tf2onnx said it does not support, by op."""
    found: dict[str, dict[str, None]] = defaultdict(dict)  # a second try logs the same again
    for record in log.records:
        if str(record.msg).startswith("Tensorflow op [") and isinstance(record.args, tuple):
            name, op = (str(argument) for argument in record.args[:2])
            found[op.removeprefix("TFL_")][name] = None
    return {op: list(names) for op, names in found.items()}


def _failed_node(log: ConverterLog) -> str | None:
    """The first node whose translation tf2onnx said has failed."""
    for record in log.records:
        if str(record.msg).startswith("Failed to convert node") and isinstance(record.args, tuple):
            return str(record.args[0])
    return None


def _leftover(model: Any, log: ConverterLog) -> dict[str, list[str]]:
    """Names of the nodes that are no ONNX ops, by op."""
    from onnx import defs

    refused = {name for names in _unmapped(log).values() for name in names}
    found: dict[str, list[str]] = defaultdict(list)
    for node in walk.nodes(model):
        versions = {"": OPSET, "ai.onnx.ml": 2}
        known = node.domain in versions and defs.has(node.op_type, versions[node.domain], node.domain)
        if not known or node.name in refused:
            found[node.op_type.removeprefix("TFL_")].append(node.name)
    return dict(found)
