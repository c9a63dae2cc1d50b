"""The onnx package's own test models as files: its node tests, with the inputs and answers that they bring, and its networks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from core.base.dtypes import numpy_dtype
from core.base.tensors import Array

_TYPE = " of type "
NODE_TESTS, LIGHT = "node tests", "light networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model's file; where it brings inputs and answers that are plain arrays, they lie beside it as `<name>.npz`."""

    group: str
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem


def node_cases() -> Iterator[Any]:
    """The node tests that have a model, with their data."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # answers of casts overflow on purpose
        for case in collect_testcases(None):
            if case.kind == "node" and case.model is not None:
                yield case


def takes_floats(model: onnx.ModelProto) -> bool:
    return TensorProto.FLOAT in {
        value.type.tensor_type.elem_type for value in model.graph.input if value.type.HasField("tensor_type")
    }


def light_networks() -> list[Path]:
    return sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


def written(folder: Path, only: Sequence[str] = ()) -> list[Case]:
    """Every model as a file: node tests below `folder`, networks where they are; `only` keeps those whose name holds one word."""
    found = []
    for case in node_cases():
        path = folder / f"{case.name}.onnx"
        if _wanted(case.name, only):
            onnx.save(case.model, path)
            _save_data(case, path.with_suffix(".npz"))
            found.append(Case(group=NODE_TESTS, path=path))
    return found + [Case(group=LIGHT, path=path) for path in light_networks() if _wanted(path.stem, only)]


def given_inputs(path: Path) -> dict[str, Any] | None:
    """The inputs that a case brings; None without any."""
    return _read(path.with_suffix(".npz"), "in:")


def answers(path: Path) -> dict[str, Any] | None:
    """The outputs that a case brings for its inputs; None without any."""
    return _read(path.with_suffix(".npz"), "out:")


def _wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(word in name for word in only)


def _save_data(case: Any, path: Path) -> None:
    if not case.data_sets:
        return
    given, wanted = case.data_sets[0]
    inputs = [value.name for value in case.model.graph.input]
    outputs = [value.name for value in case.model.graph.output]
    if len(given) != len(inputs) or len(wanted) != len(outputs):
        return
    told = [*(f"in:{name}" for name in inputs), *(f"out:{name}" for name in outputs)]
    values = (numpy_helper.to_array(one) if isinstance(one, TensorProto) else one for one in (*given, *wanted))
    arrays = dict(zip(told, values, strict=True))
    if all(isinstance(value, np.ndarray | np.generic) for value in arrays.values()):
        plain = dict(_plain(name, np.asarray(value)) for name, value in arrays.items())
        if all(value.dtype.kind in "biufcU" for value in plain.values()):
            np.savez(path, **plain)  # type: ignore[arg-type]


def _plain(name: str, value: Array) -> tuple[str, Array]:
    """NumPy writes no types of other packages, such as bfloat16: of those the bits, and the type in the name."""
    if value.dtype.isbuiltin == 1 or value.dtype.kind == "U":
        return name, value
    if value.dtype.kind == "O":
        return name, value.astype(str)
    return f"{name}{_TYPE}{value.dtype.name}", value.view(f"uint{8 * value.dtype.itemsize}")


def _read(path: Path, front: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    with np.load(path) as file:
        stored = {name.removeprefix(front): file[name] for name in file.files if name.startswith(front)}
    found = {}
    for name, value in stored.items():
        own, _, kind = name.partition(_TYPE)
        found[own] = value.view(numpy_dtype(kind)) if kind else value
    return found
