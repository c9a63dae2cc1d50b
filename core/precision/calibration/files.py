"""Samples in files, read one at a time: rows of arrays (.npz, .npy) and pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InvalidRequest, Unavailable
from core.base.npy import Header, read_header, read_rows
from core.base.tensors import Signature, TensorSpec
from core.parity.batches import leads_with_batch
from core.precision.settings import ImageOptions

Array = NDArray[np.generic]
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# Arrays beside the inputs that hold the true classes.
LABEL_NAMES = ("labels", "label", "y")
FORMS = "Give an .npz keyed by input name, an .npy for a single input, a folder of them, or a folder of images."


class SampleFile(Protocol):
    """A file of `count` samples."""

    @property
    def count(self) -> int: ...

    def rows(self) -> Iterator[dict[str, Array]]:
        """Each sample, without the batch axis where the input has one."""
        ...


@dataclass(frozen=True)
class ArrayFile:
    """An .npz or .npy; of an array that has the batch axis, each element along it is a sample.

    Attributes:
        signature: The inputs; their names are the arrays'.
    """

    path: Path
    signature: Signature

    @cached_property
    def headers(self) -> Mapping[str, Header]:
        """Of the inputs' arrays, checked against the signature."""
        found = self._read_headers()
        names = [spec.name for spec in self.signature.inputs]
        if missing := [name for name in names if name not in found]:
            unknown = [name for name in found if name not in names and name not in LABEL_NAMES]
            has = f"It has {', '.join(unknown or found) or 'no arrays'}; the model's inputs are {', '.join(names)}."
            raise InvalidRequest(f"{self.path.name} lacks {', '.join(missing)}.", hint=has)
        for spec in self.signature.inputs:
            self._check(spec, found[spec.name])
        return {name: found[name] for name in names}

    @cached_property
    def count(self) -> int:
        counts = {spec.name: self._samples(spec) for spec in self.signature.inputs}
        several = {name: count for name, count in counts.items() if count is not None}
        if len(set(several.values())) > 1:
            told = ", ".join(f"{count} of {name}" for name, count in several.items())
            raise InvalidRequest(f"{self.path.name} has {told}.", hint="Give every input equally many samples.")
        return next(iter(several.values()), 1)

    def rows(self) -> Iterator[dict[str, Array]]:
        with ExitStack() as stack:
            streams = {spec.name: self._stream(spec, stack) for spec in self.signature.inputs}
            try:
                for _ in range(self.count):
                    yield {name: next(stream) for name, stream in streams.items()}
            except EOFError as error:
                raise InvalidRequest(f"{self.path.name} is cut short: {error}.", hint="Save or copy it again.") from error

    def _read_headers(self) -> dict[str, Header]:
        try:
            if self.path.suffix == ".npy":
                with self.path.open("rb") as file:
                    return {self.signature.inputs[0].name: read_header(file)}
            found = {}
            with zipfile.ZipFile(self.path) as archive:
                for name in archive.namelist():
                    with archive.open(name) as member:
                        found[name.removesuffix(".npy")] = read_header(member)
            return found
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidRequest(f"{self.path.name} could not be read: {error}.", hint=FORMS) from error

    def _check(self, spec: TensorSpec, header: Header) -> None:
        if header.dtype.hasobject:
            raise InvalidRequest(
                f"{spec.name} in {self.path.name} holds Python objects, which are not read.", hint="Save plain arrays."
            )
        if spec.shape is None:
            return
        given = header.shape
        sample = self._sample_shape(spec, header)
        wanted = spec.shape[1:] if leads_with_batch(spec, self.signature) else spec.shape
        fits = len(sample) == len(wanted) and all(isinstance(w, str) or w == s for w, s in zip(wanted, sample, strict=True))
        if not fits:
            shape = ", ".join(str(axis) for axis in (("samples", *wanted) if wanted != spec.shape else wanted))
            raise InvalidRequest(
                f"{spec.name} in {self.path.name} has the shape {list(given)}; the model takes [{shape}].",
                hint="Save it in the model's own layout and size.",
            )

    def _is_single(self, spec: TensorSpec, header: Header) -> bool:
        """Whether the array is one sample without a batch axis."""
        return spec.shape is not None and (not leads_with_batch(spec, self.signature) or len(header.shape) == len(spec.shape) - 1)

    def _sample_shape(self, spec: TensorSpec, header: Header) -> tuple[int, ...]:
        return header.shape if self._is_single(spec, header) else header.shape[1:]

    def _samples(self, spec: TensorSpec) -> int | None:
        """Samples of one input; None when it is the same for all."""
        header = self.headers[spec.name]
        if spec.shape is not None and not leads_with_batch(spec, self.signature):
            return None
        return 1 if self._is_single(spec, header) else header.shape[0]

    def _stream(self, spec: TensorSpec, stack: ExitStack) -> Iterator[Array]:
        header = self.headers[spec.name]
        if self._is_single(spec, header) or header.fortran:
            whole = self._whole(spec.name)
            rows = iter(whole) if not self._is_single(spec, header) else _again(whole)
        elif self.path.suffix == ".npy":
            rows = iter(np.load(self.path, mmap_mode="r", allow_pickle=False))
        else:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            member = stack.enter_context(archive.open(f"{spec.name}.npy"))
            rows = read_rows(member, read_header(member))
        for row in rows:
            yield as_dtype(np.asarray(row), spec)

    def _whole(self, name: str) -> Array:
        loaded = np.load(self.path, allow_pickle=False)
        return np.asarray(loaded if self.path.suffix == ".npy" else loaded[name])


@dataclass(frozen=True)
class ImageFile:
    """A picture: one sample of the one input."""

    path: Path
    spec: TensorSpec
    options: ImageOptions
    count: int = 1

    def rows(self) -> Iterator[dict[str, Array]]:
        yield {self.spec.name: self._pixels()}

    def _pixels(self) -> Array:
        from PIL import Image, UnidentifiedImageError

        layout, (height, width), channels = image_geometry(self.spec, self.options)
        try:
            with Image.open(self.path) as picture:
                mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
                resized = picture.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
                pixels = np.asarray(resized, np.float32).reshape(height, width, channels)
        except (OSError, UnidentifiedImageError) as error:
            raise InvalidRequest(
                f"{self.path.name} could not be read as a picture.", hint="Take it out of the folder."
            ) from error
        mean, std = np.asarray(self.options.mean, np.float32), np.asarray(self.options.std, np.float32)
        pixels = (pixels * np.float32(self.options.scale) - mean) / std
        return as_dtype(np.ascontiguousarray(pixels.transpose(2, 0, 1)) if layout == "nchw" else pixels, self.spec)


def image_geometry(spec: TensorSpec, options: ImageOptions) -> tuple[str, tuple[int, int], int]:
    """Layout, height and width, and channels of an image input.

    Raises:
        InvalidRequest: The input is no image's, or its size is open and was not given.
        Unavailable: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise Unavailable("Reading pictures needs Pillow, which is not installed.", hint="pip install pillow") from error
    shape = spec.shape
    if shape is None or len(shape) != 4:
        raise InvalidRequest(
            f"Input {spec.name} takes no images: its shape is {shape}.", hint="Give an .npz keyed by input name."
        )
    layout = options.layout or ("nhwc" if shape[3] in (1, 3, 4) else "nchw")
    channels, size = (shape[3], shape[1:3]) if layout == "nhwc" else (shape[1], shape[2:4])
    if options.size is not None:
        fits = all(isinstance(own, str) or own == given for own, given in zip(size, options.size, strict=True))
        if not fits:
            raise InvalidRequest(
                f"Input {spec.name} takes {list(size)}, not images of {list(options.size)}.", hint="Leave the size out."
            )
        size = options.size
    if channels not in (1, 3, 4) or not isinstance(channels, int):
        raise InvalidRequest(f"Input {spec.name} has {channels} channels as {layout}.", hint="Give the other layout.")
    height, width = size
    if not isinstance(height, int) or not isinstance(width, int):
        raise InvalidRequest(f"Input {spec.name} takes images of any size.", hint="Give the size to resize them to.")
    return layout, (height, width), channels


def as_dtype(array: Array, spec: TensorSpec) -> Array:
    """The array in the input's type.

    Raises:
        InvalidRequest: That would lose fractions, or numbers that the type does not hold.
    """
    wanted = np.dtype(spec.dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and wanted.kind != "f":
        raise InvalidRequest(f"Input {spec.name} takes {spec.dtype}, not {array.dtype}.", hint="Save it in that type.")
    converted = array.astype(wanted)
    if wanted.kind in "iu" and not np.array_equal(converted, array):
        raise InvalidRequest(f"Input {spec.name} takes {spec.dtype}, which does not hold all values given.", hint="Check them.")
    return converted


def _again(array: Array) -> Iterator[Array]:
    while True:
        yield array
