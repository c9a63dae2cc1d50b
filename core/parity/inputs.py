"""Inputs to compare and measure on: seeded random ones, or the user's own."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from core.base.dtypes import dtype_name, integer_bounds, is_float, is_text, numpy_dtype
from core.base.errors import InvalidRequest
from core.base.npy import read_header, read_rows
from core.base.profile import Point, ShapeProfile
from core.base.tensors import Array, Signature, Tensors, TensorSpec
from core.parity.batches import leads_with_batch

# The array of an .npz that holds the true classes, for `core.parity.accuracy`.
LABELS = "labels"

Range = tuple[float, float]
WORDS = ("a", "b", "the", "cat", "sat", "engine", "room", "")


def default_range_of(dtype: str) -> Range:
    """From (included) and to (excluded) where random elements lie when nobody says.

    Floats lie in [0, 1): normalized images, probabilities and masks do, and logarithms and roots are defined there. Integers are
    0 or 1: valid as a mask, and as an index into any vocabulary. Bytes take their whole range, as pixels do.
    """
    if dtype in ("int8", "uint8"):
        smallest, largest = integer_bounds(numpy_dtype(dtype))
        return float(smallest), float(largest + 1)
    return (0.0, 1.0) if is_float(numpy_dtype(dtype)) else (0.0, 2.0)


def parse_ranges(texts: list[str]) -> dict[str, Range]:
    """Reads `name=low:high`, one entry an input; the name is all before the last equals sign.

    Raises:
        InvalidRequest: An entry is not of that form.
    """
    found: dict[str, Range] = {}
    for text in texts:
        name, _, bounds = text.rpartition("=")
        try:
            low, high = (float(bound) for bound in bounds.split(":"))
        except ValueError:
            low = high = 0.0
        if not name or not low < high or not np.isfinite([low, high]).all():
            raise InvalidRequest(f"Could not read the range {text!r}.", hint="Write name=low:high, such as input_ids=0:30522.")
        found[name] = (low, high)
    return found


def random_inputs(
    signature: Signature, profile: ShapeProfile, seed: int = 0, sets: int = 1, ranges: Mapping[str, Range] | None = None
) -> list[dict[str, Array]]:
    """Sets of random inputs at the profile's opt point; each tensor depends on seed, set and name alone.

    Args:
        ranges: From (included) and to (excluded) of inputs by name, where the default does not do.

    Raises:
        InvalidRequest: An input's rank or type is unknown, or a range names no input or fits no element.
    """
    ranges = ranges or {}
    names = [spec.name for spec in signature.inputs]
    if unknown := [name for name in ranges if name not in names]:
        raise InvalidRequest(
            f"A range is given for {', '.join(unknown)}, which is no input.", hint=f"It takes: {', '.join(names)}."
        )
    if seed < 0 or sets < 1:
        raise InvalidRequest(f"Random inputs need a seed of at least 0 and at least 1 set, not {seed} and {sets}.")
    return [
        {
            spec.name: _random(spec, profile.shape(spec), ranges.get(spec.name), [seed, number, zlib.crc32(spec.name.encode())])
            for spec in signature.inputs
        }
        for number in range(sets)
    ]


def _random(spec: TensorSpec, shape: tuple[int, ...], bounds: Range | None, seed: list[int]) -> Array:
    rng = np.random.default_rng(seed)
    dtype = numpy_dtype(spec.dtype)
    if is_text(dtype):
        return np.asarray(np.array(WORDS, dtype=object)[rng.integers(0, len(WORDS), size=shape)], dtype=object)
    if dtype.kind == "b":
        return np.asarray(rng.integers(0, 2, size=shape), dtype=np.bool_)
    low, high = bounds or default_range_of(spec.dtype)
    if dtype.kind == "c":
        return np.asarray(rng.uniform(low, high, size=shape) + 1j * rng.uniform(low, high, size=shape), dtype=dtype)
    if is_float(dtype):
        return np.asarray(rng.uniform(low, high, size=shape), dtype=dtype)
    first, last = int(np.ceil(low)), int(np.ceil(high)) - 1
    smallest, largest = integer_bounds(dtype)
    if not smallest <= first <= last <= largest:
        raise InvalidRequest(f"Not every number from {low:g} to below {high:g} is of {spec.dtype}, as input {spec.name} takes.")
    whole = np.uint64 if smallest == 0 else np.int64
    return np.asarray(rng.integers(first, last, size=shape, dtype=whole, endpoint=True)).astype(dtype)


def describe_random(seed: int, sets: int) -> str:
    """Where random inputs came from, as `Parity.inputs` tells it."""
    return f"random, seed {seed}, {sets} {'set' if sets == 1 else 'sets'}"


def describe_file(path: Path, sets: int) -> str:
    return f"{path.name}, {sets} {'set' if sets == 1 else 'sets'}"


def load_inputs(path: Path, signature: Signature, profile: ShapeProfile, *, most: int | None = None) -> list[dict[str, Array]]:
    """The user's inputs from an .npz keyed by input name, cut into batches.

    The leading axis may hold many samples: it is cut at the profile's opt length of the batch (at a fixed leading axis's own
    length). What remains is a smaller last batch. Inputs without a batch are given with every set. An array `labels` is left for
    `load_labels`.

    Args:
        most: Sets at most; of a long array no more is read than they take.

    Raises:
        InvalidRequest: The file is no .npz, or a name, shape, type or value does not fit the signature.
    """
    arrays = read_npz(path, rows={} if most is None else _rows(signature, profile, most))
    if LABELS not in {spec.name for spec in signature.inputs}:
        arrays.pop(LABELS, None)
    return cut_inputs(arrays, path.name, signature, profile)[:most]


def _rows(signature: Signature, profile: ShapeProfile, sets: int) -> dict[str, int]:
    """How much of each array along its batch axis so many sets take."""
    batched = (spec for spec in signature.inputs if leads_with_batch(spec, signature))
    return {spec.name: sets * (profile.shape(spec)[0] or 1) for spec in batched}


def cut_inputs(arrays: Tensors, where: str, signature: Signature, profile: ShapeProfile) -> list[dict[str, Array]]:
    """Many samples of each input as sets of one batch, as `load_inputs` does.

    Raises:
        InvalidRequest: A name, shape, type or value does not fit the signature.
    """
    _check_names(arrays, signature, where)
    cut = {spec.name: list(_pieces(spec, arrays[spec.name], signature, profile)) for spec in signature.inputs}
    counts = {name: len(pieces) for name, pieces in cut.items()}
    sets = max(counts.values(), default=1)
    if wrong := {name: count for name, count in counts.items() if count not in (1, sets)}:
        most = max(counts, key=lambda name: counts[name])
        told = ", ".join(f"{name} for {count}" for name, count in wrong.items())
        raise InvalidRequest(f"{where} has {most} for {sets} batches, but {told}.", hint="Give every input equally many samples.")
    found = [{name: pieces[min(number, len(pieces) - 1)] for name, pieces in cut.items()} for number in range(sets)]
    return [fits(one, signature, profile) for one in found]


def read_npz(path: Path, *, rows: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Every array of an .npz; nothing in it is executed.

    Args:
        rows: Of these arrays so many at most along the leading axis are read.

    Raises:
        InvalidRequest: It is no such file, is broken, or holds Python objects.
    """
    hint = "Save it with numpy.savez(path, input_name=array)."
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise InvalidRequest(f"{path.name} holds one array without a name.", hint=hint)
            known = rows or {}
            return {name: _beginning(loaded, name, known[name]) if name in known else loaded[name] for name in loaded.files}
    except OSError as error:
        raise InvalidRequest(f"Could not read {path.name}: {error.strerror or error}.", hint=hint) from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            why, hint = "Python objects are not read", "Store text as an array of type str."
        else:
            why = "it is no .npz, or a broken one"
        raise InvalidRequest(f"Could not read {path.name}: {why}.", hint=hint) from error


def npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of an .npz's arrays, without reading their values; none of a file that `read_npz` refuses."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    found[member.removesuffix(".npy")] = read_header(file).shape
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}
    return found


def _beginning(loaded: np.lib.npyio.NpzFile, name: str, rows: int) -> Array:
    """The first rows of an array, decompressed no further where they lie one after the other."""
    archive, member = loaded.zip, f"{name}.npy"
    if archive and member in archive.namelist():
        with archive.open(member) as file:
            header = read_header(file)
            if header.in_rows and 0 < rows < header.shape[0]:
                return np.stack(list(islice(read_rows(file, header), rows)))
    return np.asarray(loaded[name])


def _check_names(given: Tensors, signature: Signature, where: str) -> None:
    names = [spec.name for spec in signature.inputs]
    wrong = [f"lacks {name}" for name in names if name not in given] + [f"has an unknown {n}" for n in given if n not in names]
    if wrong:
        raise InvalidRequest(f"{where} {' and '.join(wrong)}.", hint=f"The inputs are: {', '.join(names) or 'none'}.")


def _converted(spec: TensorSpec, array: Array) -> Array:
    """The array in the input's own type, where that loses nothing but a float's last digits."""
    wanted = numpy_dtype(spec.dtype)
    if array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize and wanted.name != array.dtype.name:
        array = array.view(wanted)  # .npz files keep the bits of bfloat16 and its like, and forget their type
    told = f"Input {spec.name} is given as {dtype_name(array.dtype)}, and takes {spec.dtype}"
    if is_text(wanted) and is_text(array.dtype):
        return _decoded(array)
    if is_text(wanted) or is_text(array.dtype) or not (array.dtype.kind in "biufc" or is_float(array.dtype)):
        raise InvalidRequest(f"{told}.", hint="Store it in that type.")
    if array.dtype.kind == "c" and wanted.kind != "c":
        raise InvalidRequest(f"{told}.", hint="Store its real part, or both parts as an axis.")
    if is_float(array.dtype) and not is_float(wanted):
        raise InvalidRequest(f"{told}.", hint="Round it yourself, so that nothing is lost unseen.")
    if is_float(wanted):
        _check_finite(spec.name, array, "is given with")
        with np.errstate(over="ignore"):
            converted = array.astype(wanted)
        _check_finite(spec.name, converted, f"has, as {spec.dtype},")
        return converted
    converted = array.astype(wanted)
    if not np.array_equal(converted, array):
        raise InvalidRequest(f"{told}, which does not hold all its values.", hint="Check its smallest and largest value.")
    return converted


def _decoded(array: Array) -> Array:
    text = np.empty(array.shape, dtype=object)
    for index, item in np.ndenumerate(array):
        text[index] = item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item)
    return text


def _check_finite(name: str, array: Array, verb: str) -> None:
    count = int(array.size - np.count_nonzero(np.isfinite(array)))
    if count:
        elements = "element that is" if count == 1 else "elements that are"
        raise InvalidRequest(f"Input {name} {verb} {count} {elements} NaN or infinite.", hint="Clean the data first.")


def _pieces(spec: TensorSpec, array: Array, signature: Signature, profile: ShapeProfile) -> Iterator[Array]:
    """The array cut along its batch axis."""
    if spec.shape is None or array.ndim != len(spec.shape) or not leads_with_batch(spec, signature):
        yield array
        return
    length = profile.shape(spec)[0] or 1
    for start in range(0, array.shape[0], length):
        yield np.ascontiguousarray(array[start : start + length])
    if not array.shape[0]:
        yield array


def fits(inputs: Tensors, signature: Signature, profile: ShapeProfile) -> dict[str, Array]:
    """One set of inputs in the signature's order and types, each shape within the profile's range.

    Raises:
        InvalidRequest: A name, shape, type or value does not fit; the sentence says which.
    """
    _check_names(inputs, signature, "The set of inputs")
    found = {spec.name: _converted(spec, np.asarray(inputs[spec.name])) for spec in signature.inputs}
    lengths: dict[str, tuple[str, int]] = {}
    for spec in signature.inputs:
        shape = found[spec.name].shape
        if spec.shape is None:
            continue
        low, high = profile.shape(spec, Point.MIN), profile.shape(spec, Point.MAX)
        if len(shape) != len(low) or not all(a <= length <= b for a, length, b in zip(low, shape, high, strict=True)):
            takes = ", ".join(_axis(axis, a, b) for axis, a, b in zip(spec.shape, low, high, strict=True))
            raise InvalidRequest(f"Input {spec.name} is given as {list(shape)}, and takes [{takes}].", hint=_shape_hint(spec))
        for axis, length in zip(spec.shape, shape, strict=True):
            if isinstance(axis, str) and lengths.setdefault(axis, (spec.name, length))[1] != length:
                other, known = lengths[axis]
                raise InvalidRequest(
                    f"Axis {axis} is {known} in input {other} and {length} in input {spec.name}.",
                    hint="Give both the same length.",
                )
    return found


def _axis(axis: int | str, low: int, high: int) -> str:
    return f"{axis}={low}" + (f" to {high}" if high > low else "") if isinstance(axis, str) else str(axis)


def _shape_hint(spec: TensorSpec) -> str:
    if not spec.dynamic_axes:
        return "Its axes are fixed; the leading one may hold a multiple of its length."
    return f"Change the arrays, or the shape profile of {', '.join(spec.dynamic_axes)}."
