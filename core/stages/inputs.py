"""The inputs on which a build is compared and measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from core.base.errors import EngineRoomError
from core.base.tensors import Array, Signature
from core.models.given_shapes import with_asked_axes, with_given_shapes
from core.parity.accuracy import load_labels
from core.parity.batches import batch_length, leads_with_batch
from core.parity.inputs import cut_inputs, describe_file, describe_random, load_inputs, npz_shapes, random_inputs
from core.precision.calibration.labelled import find_labelled
from core.precision.calibration.samples import SampleSource, open_data
from core.stages.stage import StageContext

RANDOM_SETS = 4


def as_given(context: StageContext) -> StageContext:
    """The context with those axes told apart that the request names, and ranks and lengths as the user's inputs have them."""
    request, signature = context.request, context.model.signature(context.request.signature)
    found, profile = with_asked_axes(signature, request.profile), request.profile
    path = context.workspace.data_path(request.inputs) if request.inputs else None
    if path is not None and path.suffix == ".npz":
        found, profile = with_given_shapes(found, profile, npz_shapes(path))
    if (found, profile) == (signature, request.profile):
        return context
    signatures = tuple(found if one is signature else one for one in context.model.signatures)
    return replace(context, model=replace(context.model, signatures=signatures), request=replace(request, profile=profile))


def input_sets(context: StageContext) -> tuple[list[dict[str, Array]], str]:
    """The input sets in the source signature's names, and where they came from."""
    return _sets(context, None)


def first_inputs(context: StageContext) -> dict[str, Array]:
    """The first of the input sets; of the user's data no more is read than that takes."""
    return _sets(context, 1)[0][0]


def trial_inputs(context: StageContext) -> dict[str, Array] | None:
    """The first of the input sets; None where there is none, which whoever runs the engine on them tells."""
    try:
        return first_inputs(context)
    except EngineRoomError:
        return None


def _sets(context: StageContext, most: int | None) -> tuple[list[dict[str, Array]], str]:
    request, profile = context.request, context.request.profile
    signature = context.model.signature(request.signature)
    if request.inputs is None:
        sets = random_inputs(signature, profile, request.seed, most or RANDOM_SETS, request.ranges)
        return sets, describe_random(request.seed, len(sets))
    path = context.workspace.data_path(request.inputs)
    if path.suffix == ".npz":
        sets = load_inputs(path, signature, profile, most=most)
        return sets, describe_file(Path("your data"), len(sets))
    data = open_data(SampleSource(path=path), signature, request.lowering)
    enough = most and most * batch_length(signature, profile)  # a sample of theirs holds at least one of ours
    samples = list(islice(data.read(), enough))
    arrays = {
        spec.name: np.concatenate([one[spec.name] for one in samples])
        if leads_with_batch(spec, signature)
        else samples[0][spec.name]
        for spec in signature.inputs
    }
    sets = cut_inputs(arrays, "Your data", signature, profile)[:most]
    return sets, data.description.replace(path.name, "your data")


def input_labels(context: StageContext) -> Array | None:
    """The true classes of the user's samples, in the order of `input_sets`; None when they came without."""
    request = context.request
    if request.inputs is None:
        return None
    path = context.workspace.data_path(request.inputs)
    if path.suffix == ".npz":
        return load_labels(path)
    signature: Signature = context.model.signature(request.signature)
    found = find_labelled(path, signature, request.lowering)
    return found.labels if found else None
