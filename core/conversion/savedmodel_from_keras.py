"""Keras (`.keras`, `.h5`) to SavedModel, by Keras and TensorFlow."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from core.base.availability import Availability, from_packages, installed_versions
from core.base.errors import ConversionFailed
from core.base.lean import import_keras, import_tensorflow
from core.base.progress import Progress, Report
from core.base.tensors import Signature
from core.conversion._failures import explained
from core.conversion.base import Converted
from core.models.keras_ends import flat_call
from core.models.model import Format, Source


class SavedModelFromKeras:
    """See `Conversion`."""

    name = "savedmodel_from_keras"
    source = Format.KERAS
    target = Format.SAVEDMODEL
    packages = ("tensorflow", "keras")

    def availability(self) -> Availability:
        tensorflow = from_packages("TensorFlow", "tensorflow-cpu", "tensorflow")
        return from_packages("Keras", "keras") if tensorflow.available else tensorflow

    def convert(self, source: Source, folder: Path, report: Report) -> Converted:
        with explained("Keras", source.title, logger="keras"):
            report(Progress(message="Loading Keras and the model", fraction=0.0))
            model = _load(source.path)
            report(Progress(message="Saving it as a SavedModel", fraction=0.6))
            _save(model, source.signature, folder)
        return Converted(
            entry=".", format=Format.SAVEDMODEL, signature=source.signature, versions=installed_versions(*self.packages)
        )


def _load(path: Path) -> Any:
    """The Keras model.

    Raises:
        ConversionFailed: It needs classes or code of its own.
    """
    keras = import_keras()

    with tempfile.TemporaryDirectory() as folder:  # Keras goes by the suffix, and the file may have come under any
        link = Path(folder) / ("model.keras" if zipfile.is_zipfile(path) else "model.h5")
        link.symlink_to(path.absolute())
        try:
            return keras.models.load_model(link, compile=False)
        except (TypeError, ValueError) as error:
            if not any(sign in str(error) for sign in ("Could not locate", "Unknown layer", "custom", "Lambda", "lambda")):
                raise
            raise ConversionFailed(
                f"{path.name} uses custom classes or Lambda layers, whose code is not in the file.",
                hint="Export it as a SavedModel where its code is: model.export(folder).",
                detail=str(error),
            ) from error


def _save(model: Any, signature: Signature, folder: Path) -> None:
    """Saves the model's call as a SavedModel's signature, under the signature's name and those of its tensors.

    Keras's own `export` stores every variable twice and writes the signature under two names; what it tracks is tracked here too:
    every variable that the call uses, the states of layers among them, and the tables of layers.

    Raises:
        InvalidRequest: The model does not have the signature's inputs and outputs.
    """
    tf = import_tensorflow()
    call = flat_call(model, signature)

    def serve(*tensors: Any) -> dict[str, Any]:
        return {spec.name: result for spec, result in zip(signature.outputs, call(*tensors), strict=True)}

    specs = [tf.TensorSpec(spec.lengths, tf.as_dtype(spec.dtype), name=spec.name) for spec in signature.inputs]
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=specs, autograph=False)
    module.used = [*module.serve.get_concrete_function().graph.variables, *_tables(tf, model)]
    tf.saved_model.save(module, str(folder), signatures={signature.name: module.serve})


def _tables(tf: Any, model: Any) -> list[Any]:
    """What layers hold for looking things up, which is none of their variables."""
    held = (value for layer in model._flatten_layers() for value in vars(layer).values())
    return [value for value in held if isinstance(value, tf.saved_model.experimental.TrackableResource)]


CONVERSION = SavedModelFromKeras()
