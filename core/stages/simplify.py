"""Simplifies the ONNX graph: constants folded, dead and repeated nodes removed."""

from __future__ import annotations

from pathlib import Path

from core.base.availability import installed_versions
from core.onnxio.simplify import simplify
from core.stages.prepare import make_prepared
from core.stages.stage import MOST_NAMES, Needs, Prepared, Stage, StageContext
from core.stages.tools import ONNXSLIM
from core.storage.builds import StageName


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

    return make_prepared(context, base, {"step": "simplify"}, installed_versions("onnxslim", "onnx"), make)


STAGE = Stage(
    name=StageName.SIMPLIFY,
    result=Prepared,
    run=run,
    when=lambda task: task.lowers or (task.ends_in_onnx and task.backend.simplifies),
    needs=lambda task: Needs(tools=(ONNXSLIM,)),
)
