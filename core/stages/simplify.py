"""Simplifies the ONNX graph: constants folded, dead and repeated nodes removed."""

from __future__ import annotations

from pathlib import Path

from core.base.availability import installed_version
from core.onnxio.simplify import simplify
from core.stages.prepare import make_prepared
from core.stages.stage import MOST_NAMES, Prepared, StageContext


def run(context: StageContext) -> Prepared:
    base = context.prepared

    def make(folder: Path) -> Prepared:
        done = simplify(context.source(base).path, folder, context.report)
        return Prepared(
            artifact=None,
            entry=done.entry,
            format=base.format,
            signature=base.signature,
            ops=done.ops_after,
            versions={"onnxslim": done.version} if done.version else {},
            details={
                "nodes": f"{done.nodes_before} before, {done.nodes_after} after",
                "folded": f"{len(done.folded)} with constant inputs",
                "removed": f"{len(done.removed)} without effect or use, repeated or merged",
                "added": f"{len(done.added)}",
            },
            changed={
                how: names[:MOST_NAMES]
                for how, names in (("folded", done.folded), ("removed", done.removed), ("added", done.added))
                if names
            },
            notes=done.notes,
        )

    return make_prepared(context, base, {"step": "simplify", "version": installed_version("onnxslim")}, make)
