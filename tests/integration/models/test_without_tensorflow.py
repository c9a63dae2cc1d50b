"""Taking models in must not import TensorFlow, nor stand in the way of a later import of it."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCRIPT = """
    import sys
    from pathlib import Path
    from core.base import dtypes
    from core.models import tf_schema
    from core.intake.add_model import add_model
    from core.storage.workspace import Workspace

    folder, models = Path(sys.argv[1]), Path(sys.argv[2])
    for path in (folder / "m.onnx", models / "two_signatures", models / "tf1", models / "float.tflite"):
        add_model(path, Workspace(folder / "workspace"))
    heavy = {"tensorflow", "keras", "tf2onnx", "onnxruntime", "openvino", "torch"} & set(sys.modules)
    assert not heavy, heavy

    import tensorflow as tf
    from google.protobuf.descriptor import FieldDescriptor
    from tensorflow.core.protobuf import saved_model_pb2

    assert tf.saved_model.load(str(models / "two_signatures")).signatures.keys() == {"serving_default", "embed"}

    def below(message, found):
        if message.name not in found:
            found[message.name] = message
            for field in message.fields:
                if field.message_type:
                    below(field.message_type, found)
        return found

    theirs = below(saved_model_pb2.SavedModel.DESCRIPTOR, {})
    enum, int32 = FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32
    compared = 0
    for name, message in tf_schema._classes().items():
        for field in message.DESCRIPTOR.fields:
            other = theirs[name].fields_by_name[field.name]
            kinds = [int32 if f.type == enum else f.type for f in (field, other)]
            assert (field.number, field.is_repeated, kinds[0]) == (other.number, other.is_repeated, kinds[1]), (name, field.name)
            compared += 1
    assert compared > 40, compared
    for number, name in dtypes._TENSORFLOW.items():
        real = tf.dtypes.as_dtype(number)
        if not real.is_quantized and real not in (tf.resource, tf.variant, tf.string):
            assert real.name in (name, {"float16": "half"}.get(name)), (number, name)
"""


def test_fresh_process(models: Path, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "w")],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
