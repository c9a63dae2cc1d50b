"""Reads Keras models: `.keras` archives (Keras 3) and `.h5` files (Keras 2 and 3).

Config and weights are read without Keras; the outputs' shapes need shape inference, for which a child process loads
the model. What it cannot load (custom layers) is told from the config as far as that goes.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from core.base.dtypes import UNKNOWN
from core.base.errors import BrokenModel, Unavailable, UnsupportedModel
from core.base.files import most_unpacked
from core.models.axes import RawTensor, with_symbols
from core.models.keras_ends import names_of
from core.models.probe import probe_keras
from core.models.reading import Reading, most_frequent_first
from core.models.weights import WeightTotal

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
SIGNATURE_NAME = "main"
MOST_TEXT_BYTES = 256_000_000  # configs of networks of 10,000 layers take a tenth of it
_TOO_LARGE = "If it is a real model, export it as a SavedModel and give that."
_OPTIMIZER = ("optimizer", "optimizer_weights")


def read_keras(path: Path) -> Reading:
    """Reads a `.keras` or `.h5` file.

    Raises:
        BrokenModel: It is damaged.
        UnsupportedModel: It holds weights alone, or a class whose inputs nobody can tell without its code.
        Unavailable: h5py is not installed.
    """
    config, version, weights = _read_archive(path) if zipfile.is_zipfile(path) else _read_h5(path)
    inputs, outputs, notes = _tensors(path, config)
    return Reading(
        signatures=(with_symbols(SIGNATURE_NAME, inputs, outputs),),
        producer=f"Keras {version}" if version else "Keras",
        weights=weights,
        ops=most_frequent_first(Counter(_layer_kinds(config))),
        notes=notes,
    )


def keras_config(path: Path) -> dict[str, Any]:
    """What a `.keras` or `.h5` file tells of its layers.

    Raises:
        BrokenModel: It is damaged.
        UnsupportedModel: It holds weights alone.
        Unavailable: h5py is not installed.
    """
    config, _, _ = _read_archive(path) if zipfile.is_zipfile(path) else _read_h5(path)
    return config


def _read_archive(path: Path) -> tuple[dict[str, Any], str, WeightTotal]:
    with zipfile.ZipFile(path) as archive:
        try:
            config = json.loads(_text(archive, CONFIG))
            metadata = json.loads(_text(archive, METADATA))
            with tempfile.TemporaryFile() as unpacked:
                with archive.open(WEIGHTS) as packed:
                    _copy(packed, unpacked, path)
                with _h5(unpacked, path.name) as file:
                    return config, str(metadata.get("keras_version", "")), _weights(file, path)
        except KeyError as error:
            raise BrokenModel(f"{path.name} lacks a part: {error.args[0]}", hint="Save the model again.") from error
        except (ValueError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
            raise BrokenModel(f"{path.name} is damaged: {error}.", hint="Save or copy the model again.") from error


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MOST_TEXT_BYTES:
        raise BrokenModel(f"Its {name} unpacks to more than {MOST_TEXT_BYTES / 1e6:,.0f} MB.", hint=_TOO_LARGE)
    with archive.open(name) as file:
        return file.read(MOST_TEXT_BYTES)  # an archive's own figures are not believed


def _copy(source: IO[bytes], target: IO[bytes], path: Path) -> None:
    left = most_unpacked(path)
    while chunk := source.read(1 << 20):
        if (left := left - len(chunk)) < 0:
            raise BrokenModel(f"{path.name} unpacks to more than {most_unpacked(path) / 1e6:,.0f} MB.", hint=_TOO_LARGE)
        target.write(chunk)


def _read_h5(path: Path) -> tuple[dict[str, Any], str, WeightTotal]:
    with path.open("rb") as opened, _h5(opened, path.name) as file:
        if "model_config" not in file.attrs:
            raise _without_config(path.name, file)
        config = file.attrs["model_config"]
        version = file.attrs.get("keras_version", "")
        try:
            return json.loads(config), version.decode() if isinstance(version, bytes) else str(version), _weights(file, path)
        except (ValueError, RecursionError) as error:
            raise BrokenModel(f"{path.name} holds a damaged config: {error}.", hint="Save the model again.") from error


def _without_config(name: str, file: Any) -> UnsupportedModel:
    if {"layer_names", "backend"} & set(file.attrs) or {"layers", "_layer_checkpoint_dependencies"} & set(file):
        return UnsupportedModel(
            f"{name} holds the weights of a Keras model and not the model itself.",
            hint="Save the whole model with model.save('model.keras'), or model.export(folder).",
        )
    return UnsupportedModel(
        f"{name} is an HDF5 file that holds no Keras model.", hint="Save the model with model.save('model.keras')."
    )


@contextmanager
def _h5(file: Any, name: str) -> Iterator[Any]:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError as error:
        raise Unavailable("Reading Keras models needs h5py.", hint="pip install h5py") from error
    try:
        with h5py.File(file, "r") as opened:
            yield opened
    except (OSError, RuntimeError, KeyError) as error:
        raise BrokenModel(f"{name} is cut short or damaged: {error}.", hint="Save or copy the model again.") from error


def _weights(file: Any, path: Path) -> WeightTotal:
    """Of every dataset but the optimizer's; what links share is visited once.

    Raises:
        BrokenModel: They would take far more than the file holds: datasets without data, or packed out of all proportion.
    """
    import h5py

    found: list[Any] = []
    whole = 0

    def collect(name: str, item: Any) -> None:
        nonlocal whole
        if isinstance(item, h5py.Dataset):
            whole += int(item.nbytes) if item.shape is not None else 0
            if not name.startswith(_OPTIMIZER):
                found.append(item)

    file.visititems(collect)
    if whole > most_unpacked(path):
        size = path.stat().st_size / 1e6
        raise BrokenModel(f"{path.name} tells of {whole / 1e6:,.0f} MB of weights and holds {size:,.2f} MB.", hint=_TOO_LARGE)
    total = WeightTotal()
    for dataset in found:
        total = total.plus(dataset.dtype.name, dataset.shape)
    return total


def _tensors(path: Path, config: Mapping[str, Any]) -> tuple[list[RawTensor], list[RawTensor], tuple[str, ...]]:
    try:
        inputs, outputs = probe_keras(path)
    except Unavailable as error:
        inputs = list(_config_inputs(config))
        if not inputs:
            raise UnsupportedModel(
                f"{path.name} is a {config.get('class_name')} model, whose inputs only its own code can tell. {error.message}",
                hint="Export it as a SavedModel where its code is: model.export(folder).",
            ) from error
        names = list(_config_outputs(config))
        outputs = [RawTensor(name=name, dtype=UNKNOWN, shape=None) for name in names]
        return inputs, outputs, (f"Keras could not tell the outputs' shapes. {error.message}",)
    return inputs, outputs, ()


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inner = config.get("config", {})
    found: list[Mapping[str, Any]] = inner if isinstance(inner, list) else inner.get("layers", [])  # a list in Keras 2.1
    return found


def _layer_kinds(config: Mapping[str, Any]) -> Iterator[str]:
    """Class names of the layers, those of nested models and wrappers included."""
    for layer in _layers(config):
        if _layers(layer):
            yield from _layer_kinds(layer)
        elif layer["class_name"] != "InputLayer":
            yield layer["class_name"]
            inner = layer.get("config", {}).get("layer")
            if isinstance(inner, Mapping) and "class_name" in inner:
                yield inner["class_name"]


def _config_inputs(config: Mapping[str, Any]) -> Iterator[RawTensor]:
    for layer in _layers(config):
        settings = layer.get("config", {})
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        if shape is not None:
            kind = settings.get("dtype") or "float32"
            dtype = kind if isinstance(kind, str) else kind.get("config", {}).get("name", "float32")
            yield RawTensor(name=settings.get("name", "input"), dtype=dtype, shape=tuple(shape))


def _config_outputs(config: Mapping[str, Any]) -> Iterator[str]:
    inner = config.get("config", {})
    named = inner.get("output_layers") if isinstance(inner, Mapping) else None
    if not named:
        yield _layers(config)[-1].get("config", {}).get("name", "output")
        return
    rows = list(_rows(named))
    yield from names_of([path for path, _ in rows], [layer for _, layer in rows])


def _rows(named: Any, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The keys and places that lead to each output, and its layer's name, in Keras's order: [layer, node, tensor], nested."""
    if isinstance(named, list) and named and isinstance(named[0], str):
        yield path, named[0]
        return
    inner = sorted(named.items()) if isinstance(named, Mapping) else enumerate(named)
    for key, value in inner:
        yield from _rows(value, *path, key)
