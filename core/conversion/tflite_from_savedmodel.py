"""SavedModel to TensorFlow Lite, by TensorFlow's converter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.base.availability import Availability, from_packages, installed_versions
from core.base.lean import import_tensorflow
from core.base.progress import Progress, Report
from core.conversion._failures import explained, unsupported
from core.conversion._savedmodel import frozen
from core.conversion.base import Converted
from core.models.model import Format, Source
from core.models.savedmodel import signature_graph
from core.models.tf_graph import REFERENCES
from core.models.tf_loadable import loadable
from core.models.tflite import read_tflite

TOOL = "TensorFlow Lite's converter"
_FLEX_OPS = re.compile(r"TF Select ops: (.*)")
_CUSTOM_OPS = re.compile(r"Custom ops: (.*)")
# How its messages tell a node: its op and, before the function it is in, its name.
_NODE = re.compile(r'fused\["(\w+):", "([^"@]+)@')


class TfliteFromSavedModel:
    """See `Conversion`."""

    name = "tflite_from_savedmodel"
    source = Format.SAVEDMODEL
    target = Format.TFLITE
    packages = ("tensorflow",)

    def availability(self) -> Availability:
        return from_packages("TensorFlow", "tensorflow-cpu", "tensorflow")

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        what = f"signature {source.signature.name}"
        notes = []
        with explained(TOOL, what, logger="tensorflow", hint=lambda error: _hint(error, source)):
            report(Progress(message="Loading TensorFlow", fraction=0.0))
            tf = import_tensorflow()

            report(Progress(message="Converting to TensorFlow Lite", fraction=0.3))
            try:
                content = _converted(source, what, [tf.lite.OpsSet.TFLITE_BUILTINS])
            except Exception as error:
                if custom := _named(_CUSTOM_OPS, error):
                    nodes = {op: sorted({name for kind, name in _NODE.findall(str(error)) if kind == op}) for op in custom}
                    raise unsupported(TOOL, what, nodes, detail=str(error)) from error
                if not (flex := _named(_FLEX_OPS, error)):
                    raise
                report(Progress(message="Converting again, with TensorFlow's own ops", fraction=0.6))
                content = _converted(source, what, [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS])
                notes.append(
                    f"TensorFlow Lite has no op of its own for {', '.join(flex)}: it needs a runtime with TensorFlow's (Flex)."
                )
        path = folder / "model.tflite"
        path.write_bytes(content)
        return Converted(
            entry=path.name,
            format=Format.TFLITE,
            signature=source.signature,
            ops=read_tflite(path).ops,
            versions=installed_versions(*self.packages),
            notes=tuple(notes),
        )


def _converted(source: Source, what: str, ops: list[Any]) -> bytes:
    tf = import_tensorflow()

    with _readable(source, what) as (folder, tags):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[source.signature.name], tags=set(tags))
        converter.target_spec.supported_ops = ops
        content: bytes = converter.convert()
    return content


def _hint(error: Exception, source: Source) -> str:
    """What helps against an error of the converter's."""
    if "requires element_shape to be static" not in str(error):
        return ""
    open_axes = sorted({axis for spec in source.signature.inputs for axis in spec.dynamic_axes})
    if not open_axes:
        return ""
    return (
        "What a loop carries must have fixed lengths there: fix the batch size, and lengths that the state depends on, "
        f"and export the model again (open now: {', '.join(open_axes)})."
    )


@contextmanager
def _readable(source: Source, what: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The SavedModel and its tags, as the converter reads it: of reference variables it takes only some uses."""
    if any(node.op in REFERENCES for node in signature_graph(source.path, source.signature.name).node):
        with frozen(source, what) as folder:
            yield folder, ("serve",)
        return
    with loadable(source.path) as found:
        yield found.folder, found.tags


def _named(pattern: re.Pattern[str], error: Exception) -> list[str]:
    """The op types that the converter lists in its error."""
    found = pattern.search(str(error))
    return [op.strip() for op in found[1].split(",")] if found else []


CONVERSION = TfliteFromSavedModel()
