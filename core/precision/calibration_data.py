"""Calibration data: opened, checked before the work starts, and read one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InvalidRequest
from core.base.profile import ShapeProfile
from core.base.tensors import Signature, TensorSpec
from core.parity.batches import leads_with_batch
from core.parity.inputs import Range, random_inputs
from core.precision.data_files import FORMS, IMAGE_SUFFIXES, ArrayFile, ImageFile, SampleFile, image_geometry
from core.precision.settings import ImageOptions

Array = NDArray[np.generic]
Sample = dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """How calibration data are read.

    Attributes:
        limit: Samples at most, spread evenly over what there is.
        images: How pictures are prepared.
        expected: Least and largest value that the model was trained on, by input; data outside are refused, and random
            values are drawn from there.
        random_samples: How many, when there is no data.
        profile: Lengths of dynamic axes for random values.
    """

    limit: int = 500
    images: ImageOptions = field(default_factory=ImageOptions)
    expected: dict[str, Range] = field(default_factory=dict)
    random_samples: int = 16
    seed: int = 0
    profile: ShapeProfile = field(default_factory=ShapeProfile)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationData:
    """Samples that can be read through any number of times, each shaped as the model takes it.

    Attributes:
        description: Where they come from, for people.
        calibrated: False for random values, which say nothing about the model.
        count: How many `read` yields.
        indices: Which of the files' samples, in order; labels follow them.
    """

    description: str
    calibrated: bool
    count: int
    read: Callable[[], Iterator[Sample]]
    indices: tuple[int, ...] = ()


def open_data(path: Path | None, signature: Signature, options: DataOptions | None = None) -> CalibrationData:
    """Looks at names, shapes and types; reads no values yet. No path gives seeded random values.

    Raises:
        InvalidRequest: The data are in no form we read, or do not fit the model's inputs.
        Unavailable: They are pictures, and Pillow is not installed.
    """
    options = options or DataOptions()
    if path is None:
        return _random(signature, options)
    files = sample_files(path, signature, options)
    total = sum(file.count for file in files)
    group = _fixed_batch(signature)
    wanted = min(options.limit, total) // group * group
    if wanted == 0:
        raise InvalidRequest(f"{path.name} holds {total} samples; the model takes {group} at a time.", hint="Give more samples.")
    indices = np.linspace(0, total - 1, wanted).round().astype(int).tolist()
    chosen = frozenset(indices)

    def read() -> Iterator[Sample]:
        rows = (row for file in files for row in file.rows())
        picked = (row for index, row in enumerate(rows) if index in chosen)
        while rows_of_one := list(islice(picked, group)):
            yield _stacked(rows_of_one, signature)

    described = f"{wanted} of {total} samples of {path.name}"
    return CalibrationData(description=described, calibrated=True, count=wanted // group, read=read, indices=tuple(indices))


def sample_files(path: Path, signature: Signature, options: DataOptions) -> list[SampleFile]:
    """The files that hold samples, in order of their names.

    Raises:
        InvalidRequest: There are none, or of both kinds, or nobody can tell which input they are for.
    """
    if not path.exists():
        raise InvalidRequest(f"There is no calibration data at {path}.", hint=FORMS)
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
    arrays = [file for file in found if file.suffix in (".npz", ".npy")]
    images = [file for file in found if file.suffix.lower() in IMAGE_SUFFIXES]
    if arrays and images:
        raise InvalidRequest(f"{path.name} holds both arrays and pictures.", hint="Keep one kind in the folder.")
    if not arrays and not images:
        raise InvalidRequest(f"{path.name} holds no calibration data that we read.", hint=FORMS)
    inputs = ", ".join(spec.name for spec in signature.inputs)
    if len(signature.inputs) != 1 and (images or any(file.suffix == ".npy" for file in arrays)):
        kind = "Pictures" if images else "An .npy"
        raise InvalidRequest(
            f"{kind} cannot tell which of the inputs {inputs} it is for.", hint="Give an .npz keyed by input name."
        )
    if images:
        spec = signature.inputs[0]
        image_geometry(spec, options.images)
        return [ImageFile(file, spec, options.images) for file in images]
    return [ArrayFile(file, signature) for file in arrays]


def _random(signature: Signature, options: DataOptions) -> CalibrationData:
    def read() -> Iterator[Sample]:
        for number in range(options.random_samples):
            yield random_inputs(signature, options.profile, options.seed + number, 1, options.expected)[0]

    described = f"{options.random_samples} random samples, seed {options.seed}"
    return CalibrationData(description=described, calibrated=False, count=options.random_samples, read=read)


def _fixed_batch(signature: Signature) -> int:
    """Samples that every run carries; 1 where the batch is dynamic or there is none."""
    lengths = {spec.shape[0] for spec in signature.inputs if spec.shape and leads_with_batch(spec, signature)}
    return max((length for length in lengths if isinstance(length, int)), default=1)


def _stacked(rows: list[Sample], signature: Signature) -> Sample:
    return {spec.name: _one(spec, rows, signature) for spec in signature.inputs}


def _one(spec: TensorSpec, rows: list[Sample], signature: Signature) -> Array:
    if spec.shape is not None and not leads_with_batch(spec, signature):
        return rows[0][spec.name]
    return np.stack([row[spec.name] for row in rows])
