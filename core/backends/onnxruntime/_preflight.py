"""Asks ONNX Runtime which nodes it has kernels for: by a session with every optimization off, for it has no query of its own."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import onnx

from core.backends._preflight import Refusal, told_by
from core.backends.onnxruntime._sessions import imported
from core.base.availability import installed_versions
from core.base.dtypes import worded_dtype
from core.base.progress import Report
from core.graph.support import Support
from core.models.model import Source
from core.onnxio.aliases import Aliases
from core.onnxio.parts import Types

_SILENT = 4
_FRONT = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .+? failed:\s*)?(This is an invalid model\. )?(Fatal error: )?"
)
_PLACE = re.compile(r"(Exception during initialization: )?/\S+?\.(?:cc|h):\d+ [^\n]*?[)>]\s+(?=[A-Z])")
_NO_KERNEL = re.compile(r"Could not find an implementation for (\w+)\((\d+)\)")
_NO_OP = re.compile(r"is not a registered function/op|No Op registered for (\w+) with domain_version of (\d+)")
_TOO_NEW = re.compile(r"only \*guarantees\* support|max supported IR version")


def preflight(source: Source, report: Report) -> Support:
    """What the CPU provider takes.

    Raises:
        BrokenModel: The model cannot be read as ONNX.
    """
    runtime = imported()
    kernels = _kernels()

    def judge(model: onnx.ModelProto, types: Types, aliases: Aliases) -> Sequence[Refusal]:
        options = runtime.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = 1
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.fspath(source.path.parent))
        try:
            runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it raises a class for each of its codes, all of Exception alone
            return [_refusal(str(error), aliases, kernels)]
        return ()

    versions = installed_versions("onnxruntime", "onnx")
    nodes, notes = told_by(source.path, "ONNX Runtime", judge, report)
    return Support(
        nodes=nodes,
        notes=notes,
        way=f"ONNX Runtime {versions.get('onnxruntime', '')} has no query: a session was made on its CPU provider with every "
        "optimization off, and again without each node that it refused.",
        versions=versions,
    )


def _refusal(text: str, aliases: Aliases, kernels: dict[str, list[str]]) -> Refusal:
    node = aliases.mentioned(text)
    said = _PLACE.sub("", _FRONT.sub("", text)).strip().splitlines()[0].strip(" ,")
    if found := _NO_KERNEL.search(text):
        types = kernels.get(found[1], [])
        hint = (
            f"It has kernels of {found[1]} for {', '.join(types)}: cast to one of them." if types else "Export it as other ops."
        )
        return Refusal(node, said, hint, is_final=True)
    if _NO_OP.search(text):
        return Refusal(node, said, "Export it as ops of ONNX's own set, in an opset that has them.", is_final=True, is_of_op=True)
    if _TOO_NEW.search(text):
        return Refusal(node, said, "Export the model in an older opset and IR version, or update onnxruntime.", is_final=True)
    return Refusal(node, said, "Another opset or another export of this node may do.")


def _kernels() -> dict[str, list[str]]:
    """The element types that the CPU provider's kernels take as their first type, by op."""
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        defined: Any = state.get_all_opkernel_def()
    except (ImportError, AttributeError):  # left out of some builds
        return {}
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for kernel in defined:
        if kernel.provider == "CPUExecutionProvider" and kernel.type_constraints:
            words = next(iter(kernel.type_constraints.values()))
            found[kernel.op_name].update(dict.fromkeys(worded_dtype(word[7:-1]) or word for word in words))
    return {op: list(types) for op, types in found.items()}
