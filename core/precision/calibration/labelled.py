"""Labelled samples, and the true accuracy of a model in a precision on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from core.base.errors import InvalidRequest
from core.base.tensors import Signature
from core.parity.accuracy import accuracy, load_labels
from core.parity.result import Accuracy
from core.precision.calibration.files import ArrayFile, ImageFile
from core.precision.calibration.samples import CalibrationData, Sample, SampleSource, open_data, sample_files
from core.precision.runner import Runner
from core.precision.settings import DEFAULTS, PrecisionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Samples with their true classes.

    Attributes:
        labels: One class number a sample, [samples].
        classes: Names of the classes, where folders name them.
    """

    data: CalibrationData
    labels: NDArray[np.int64]
    classes: tuple[str, ...] = ()


def open_labelled(path: Path, signature: Signature, settings: PrecisionSettings = DEFAULTS) -> Labelled:
    """Opens an .npz with labels, or a folder of images whose folders are the classes: by their numbers, else sorted by name.

    Raises:
        InvalidRequest: There are no labels, or not one for each sample.
    """
    found = find_labelled(path, signature, settings)
    if found is None:
        raise InvalidRequest(
            f"{path.name} holds no labels.",
            hint="Give an .npz with the array `labels`, or a folder with one folder of images for each class.",
        )
    return found


def find_labelled(path: Path, signature: Signature, settings: PrecisionSettings = DEFAULTS) -> Labelled | None:
    """As `open_labelled`, but None for data that come without labels."""
    files = sample_files(path, signature, settings.images)
    total = sum(file.count for file in files)
    data = open_data(SampleSource(path=path), signature, settings)
    if all(isinstance(file, ImageFile) for file in files):
        folders = [file.path.parent.name for file in files if isinstance(file, ImageFile)]
        classes = tuple(sorted(set(folders)))
        if len(classes) < 2:
            return None
        numbered = all(name.isdecimal() for name in classes)
        labels = np.array([int(folder) if numbered else classes.index(folder) for folder in folders], np.int64)
        return Labelled(data=data, labels=labels[list(data.indices)], classes=classes)
    told = [_labels(file.path) for file in files if isinstance(file, ArrayFile)]
    found = [labels for labels in told if labels is not None]
    if len(found) < len(told):
        return None
    labels = np.concatenate(found)
    if len(labels) != total:
        raise InvalidRequest(f"{path.name} has {total} samples and {len(labels)} labels.", hint="Give one label a sample.")
    return Labelled(data=data, labels=labels[list(data.indices)])


def _labels(path: Path) -> NDArray[np.int64] | None:
    labels = load_labels(path) if path.suffix == ".npz" else None
    return None if labels is None else np.asarray(labels, np.int64)


def labelled_accuracy(model: onnx.ModelProto, labelled: Labelled, *, exact: bool = False) -> Accuracy:
    """Top-1 and top-5 of a model on ONNX Runtime.

    Args:
        model: Left as it is.
        labelled: The samples.
        exact: Run each node as it stands, for emulated and FP8 graphs.

    Raises:
        InvalidRequest: No output holds scores of classes.
    """
    names = [value.name for value in model.graph.output]
    runner = Runner(model, names, exact=exact)

    def outputs() -> Iterator[Sample]:
        for sample in labelled.data.read():
            yield dict(zip(names, runner.run(sample), strict=True))

    return accuracy(outputs(), labelled.labels)
