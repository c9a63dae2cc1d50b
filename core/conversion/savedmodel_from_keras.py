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

    Keras's own `export` stores every variable twice; here only the TensorFlow variables are tracked.

    Raises:
        ConversionFailed: The model does not have the signature's inputs and outputs.
    """
    keras = import_keras()
    tf = import_tensorflow()

    inputs, outputs = [keras.tree.flatten(ends) for ends in (model.inputs, model.outputs)]
    if (len(inputs), len(outputs)) != (len(signature.inputs), len(signature.outputs)):
        raise ConversionFailed(
            f"The Keras model has {len(inputs)} inputs and {len(outputs)} outputs; its signature has "
            f"{len(signature.inputs)} and {len(signature.outputs)}.",
            hint="The model has changed since it was added. Add it again.",
        )
    names = [spec.name for spec in signature.inputs]
    own_names = [tensor.name for tensor in inputs]
    order = [names.index(name) for name in own_names] if sorted(own_names) == sorted(names) else list(range(len(names)))

    def serve(*tensors: Any) -> dict[str, Any]:
        fed = keras.tree.pack_sequence_as(model.input, [tensors[index] for index in order])
        results = keras.tree.flatten(model(fed, training=False))
        return {spec.name: result for spec, result in zip(signature.outputs, results, strict=True)}

    specs = [tf.TensorSpec(spec.lengths, tf.as_dtype(spec.dtype), name=spec.name) for spec in signature.inputs]
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.serve = tf.function(serve, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={signature.name: module.serve})


CONVERSION = SavedModelFromKeras()
