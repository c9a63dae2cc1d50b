"""The tables of a TensorFlow Lite file, through LiteRT's schema, which is one light module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.base.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureEnds:
    """Where a signature begins and ends.

    Attributes:
        subgraph: Its number; a file without signatures has one, 0.
        inputs: Each input's name in the signature, and its tensor's own.
        outputs: The same.
    """

    subgraph: int
    inputs: dict[str, str]
    outputs: dict[str, str]


def read_tables(path: Path) -> Any:
    """A file's `Model`.

    Raises:
        Unavailable: LiteRT is not installed.
    """
    return schema().Model.GetRootAs(path.read_bytes(), 0)


def signature_ends(model: Any, name: str) -> SignatureEnds | None:
    """The ends of a signature of a `Model`; None when it has none of that name."""
    for definition in (model.SignatureDefs(index) for index in range(model.SignatureDefsLength())):
        if text(definition.SignatureKey()) == name:
            tensors = model.Subgraphs(definition.SubgraphIndex()).Tensors
            inputs = [definition.Inputs(index) for index in range(definition.InputsLength())]
            outputs = [definition.Outputs(index) for index in range(definition.OutputsLength())]
            read, written = (
                {text(item.Name()): text(tensors(item.TensorIndex()).Name()) for item in items} for items in (inputs, outputs)
            )
            return SignatureEnds(subgraph=int(definition.SubgraphIndex()), inputs=read, outputs=written)
    return None


def op_of(model: Any, operator: Any) -> tuple[str, bool]:
    """The name of an `Operator`'s op, and whether it is a custom one."""
    code = model.OperatorCodes(operator.OpcodeIndex())
    if custom := text(code.CustomCode()):
        return custom, True
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return _builtin_ops().get(number, f"builtin.{number}"), False


def text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def schema() -> Any:
    """The module of the file's tables.

    Raises:
        Unavailable: LiteRT is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise Unavailable("Reading .tflite files needs LiteRT.", hint="pip install ai-edge-litert") from error
    return schema_py_generated


@lru_cache(maxsize=1)
def _builtin_ops() -> dict[int, str]:
    return {number: name for name, number in vars(schema().BuiltinOperator).items() if not name.startswith("_")}
