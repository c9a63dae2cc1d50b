"""TensorFlow's SavedModel and GraphDef messages, as far as we read them, without TensorFlow.

`import tensorflow` takes 5 to 20 s and 700 MB, and its protobuf modules register themselves in the process's default
descriptor pool and in `sys.modules`. So the fields we need are declared here, in a pool of our own: nothing is
imported, nothing is registered where TensorFlow could trip over it, and a host without TensorFlow can read its models.
Fields not named here are skipped. Field numbers never change once published; a test compares them with TensorFlow's own.

Source: https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core (framework/*.proto, protobuf/*.proto)
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from core.base.errors import BrokenModel

_PACKAGE = "engineroom.tensorflow"

# message: "number type name; ..."; a type may be `map` (string keys) or a repeated one (`*`). Enums are read as int32.
SCHEMA = {
    "SavedModel": "1 int64 saved_model_schema_version; 2 MetaGraphDef* meta_graphs",
    "MetaGraphDef": "1 MetaInfoDef meta_info_def; 2 GraphDef graph_def; 5 map:SignatureDef signature_def",
    "MetaInfoDef": "4 string* tags; 5 string tensorflow_version",
    "SignatureDef": "1 map:TensorInfo inputs; 2 map:TensorInfo outputs; 3 string method_name",
    "TensorInfo": "1 string name; 2 int32 dtype; 3 TensorShapeProto tensor_shape; 4 CooSparse coo_sparse; "
    "5 CompositeTensor composite_tensor",
    "CooSparse": "1 string values_tensor_name; 2 string indices_tensor_name; 3 string dense_shape_tensor_name",
    "CompositeTensor": "2 TensorInfo* components",
    "GraphDef": "1 NodeDef* node; 2 FunctionDefLibrary library; 4 VersionDef versions",
    "VersionDef": "1 int32 producer",
    "NodeDef": "1 string name; 2 string op; 3 string* input; 5 map:AttrValue attr",
    "AttrValue": "1 ListValue list; 6 int32 type; 7 TensorShapeProto shape; 8 TensorProto tensor; 10 NameAttrList func",
    "ListValue": "6 int32* type; 7 TensorShapeProto* shape; 9 NameAttrList* func",
    "NameAttrList": "1 string name",
    "TensorProto": "1 int32 dtype; 2 TensorShapeProto tensor_shape",
    "TensorShapeProto": "2 Dim* dim; 3 bool unknown_rank",
    "Dim": "1 int64 size",
    "FunctionDefLibrary": "1 FunctionDef* function",
    "FunctionDef": "1 OpDef signature; 3 NodeDef* node_def; 4 map:string ret",
    "OpDef": "1 string name; 2 ArgDef* input_arg; 3 ArgDef* output_arg",
    "ArgDef": "1 string name",
}


def parse(message: str, data: bytes, what: str) -> Any:
    """Reads `data` as the named message.

    Raises:
        BrokenModel: It is not one; `what` names the file.
    """
    found: Message = _classes()[message]()
    try:
        found.ParseFromString(data)
    except DecodeError as error:
        raise BrokenModel(
            f"{what} is cut short or damaged: it could not be read as a {message}.", hint="Export or copy it again."
        ) from error
    return found


def shape_of(shape: Any) -> tuple[int | None, ...] | None:
    """A `TensorShapeProto` as a tuple, None for a dynamic axis, None alone for an unknown rank."""
    return None if shape.unknown_rank else tuple(int(dim.size) if dim.size >= 0 else None for dim in shape.dim)


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="engineroom/tensorflow.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in SCHEMA.items():
        described = file.message_type.add(name=message)
        for field in fields.split(";"):
            number, kind, name = field.split()
            _add_field(described, int(number), kind, name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in SCHEMA}


def _add_field(message: Any, number: int, kind: str, name: str) -> None:
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if kind.endswith("*") or kind.startswith("map:") else field.LABEL_OPTIONAL
    if kind.startswith("map:"):
        entry = message.nested_type.add(name=f"{re.sub('_', '', name.title())}Entry")
        entry.options.map_entry = True
        _add_field(entry, 1, "string", "key")
        _add_field(entry, 2, kind.removeprefix("map:"), "value")
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{message.name}.{entry.name}"
    elif (bare := kind.rstrip("*")) in SCHEMA:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{bare}"
    else:
        field.type = getattr(field, f"TYPE_{bare.upper()}")
