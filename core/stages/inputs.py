"""The inputs on which a build is compared and measured."""

from __future__ import annotations

from pathlib import Path

from core.backends.base import Array
from core.parity.inputs import describe_file, describe_random, load_inputs, random_inputs
from core.stages.stage import StageContext

RANDOM_SETS = 4


def input_sets(context: StageContext) -> tuple[list[dict[str, Array]], str]:
    """The input sets in the source signature's names, and where they came from."""
    request = context.request
    signature = context.model.signature(request.signature)
    if request.inputs:
        sets = load_inputs(context.workspace.data_path(request.inputs), signature, request.profile)
        return sets, describe_file(Path("your data"), len(sets))
    sets = random_inputs(signature, request.profile, request.seed, RANDOM_SETS, request.ranges)
    return sets, describe_random(request.seed, RANDOM_SETS)
