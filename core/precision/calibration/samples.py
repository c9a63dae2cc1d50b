"""Calibration data: opened, checked before the work starts, and read one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InvalidRequest
from core.base.profile import ShapeProfile
from core.base.tensors import Signature, TensorSpec
from core.parity.batches import leads_with_batch
from core.parity.inputs import Range, random_inputs
from core.precision.calibration.files import FORMS, IMAGE_SUFFIXES, ArrayFile, ImageFile, SampleFile, image_geometry
from core.precision.settings import DEFAULTS, ImageOptions, PrecisionSettings

Array = NDArray[np.generic]
Sample = dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """Where samples come from: the user's own, ranges that were taken from them earlier, or seeded random values.

    Attributes:
        path: The user's data: .npz, .npy, a folder of them, or a folder of images; None for random values.
        ranges: A file of ranges from an earlier calibration, used instead of samples where only ranges are asked for.
        expected: Least and largest value that the model was trained on, by input; data outside are refused, and random
            values are drawn from there.
        random_samples: How many, when there is no data.
        profile: Lengths of dynamic axes for random values.
    """

    path: Path | None = None
    ranges: Path | None = None
    expected: dict[str, Range] = field(default_factory=dict)
    random_samples: int = 16
    seed: int = 0
    profile: ShapeProfile = field(default_factory=ShapeProfile)

    def absolute(self) -> SampleSource:
        """The same for a process in another folder."""
        path, ranges = (one.absolute() if one else None for one in (self.path, self.ranges))
        return replace(self, path=path, ranges=ranges)


RANDOM = SampleSource()


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


def open_data(source: SampleSource, signature: Signature, settings: PrecisionSettings = DEFAULTS) -> CalibrationData:
    """Looks at names, shapes and types; reads no values yet.

    Args:
        source: The user's data, or random values.
        signature: Whose inputs they are for.
        settings: How many are taken at most, spread evenly over what there is, and how pictures are prepared.

    Raises:
        InvalidRequest: The data are in no form we read, or do not fit the model's inputs.
        Unavailable: They are pictures, and Pillow is not installed.
    """
    path = source.path
    if path is None:
        return _random(signature, source)
    files = sample_files(path, signature, settings.images)
    total = sum(file.count for file in files)
    group = _fixed_batch(signature)
    wanted = min(settings.samples, total) // group * group
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


def sample_files(path: Path, signature: Signature, images: ImageOptions) -> list[SampleFile]:
    """The files that hold samples, in order of their names.

    Raises:
        InvalidRequest: There are none, or of both kinds, or nobody can tell which input they are for.
    """
    if not path.exists():
        raise InvalidRequest(f"There is no calibration data at {path}.", hint=FORMS)
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
    arrays = [file for file in found if file.suffix in (".npz", ".npy")]
    pictures = [file for file in found if file.suffix.lower() in IMAGE_SUFFIXES]
    if arrays and pictures:
        raise InvalidRequest(f"{path.name} holds both arrays and pictures.", hint="Keep one kind in the folder.")
    if not arrays and not pictures:
        raise InvalidRequest(f"{path.name} holds no calibration data that we read.", hint=FORMS)
    inputs = ", ".join(spec.name for spec in signature.inputs)
    if len(signature.inputs) != 1 and (pictures or any(file.suffix == ".npy" for file in arrays)):
        kind = "Pictures" if pictures else "An .npy"
        raise InvalidRequest(
            f"{kind} cannot tell which of the inputs {inputs} it is for.", hint="Give an .npz keyed by input name."
        )
    if pictures:
        spec = signature.inputs[0]
        image_geometry(spec, images)
        return [ImageFile(file, spec, images) for file in pictures]
    return [ArrayFile(file, signature) for file in arrays]


def _random(signature: Signature, source: SampleSource) -> CalibrationData:
    def read() -> Iterator[Sample]:
        for number in range(source.random_samples):
            yield random_inputs(signature, source.profile, source.seed + number, 1, source.expected)[0]

    described = f"{source.random_samples} random samples, seed {source.seed}"
    return CalibrationData(description=described, calibrated=False, count=source.random_samples, read=read)


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
