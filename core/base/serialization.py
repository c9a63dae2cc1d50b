"""Value types to JSON and back, through pydantic; the one place that knows how."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json, to_jsonable_python

from core.base.errors import StoreFailed
from core.base.files import write_whole

T = TypeVar("T")


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_data(value: Any) -> Any:
    """A value type as plain dicts, lists and scalars; NaN and infinities survive."""
    return to_jsonable_python(value)


def from_data(kind: type[T], data: Any) -> T:
    result: T = _adapter(kind).validate_python(data)
    return result


def write_json(path: Path, value: Any) -> None:
    """Writes a value type to `path`, whole or not at all.

    Raises:
        StoreFailed: The folder is full or not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_json(value, indent=1, inf_nan_mode="constants") + b"\n")
    except OSError as error:
        raise StoreFailed(
            f"Could not write {path.name}: {error.strerror}.", hint="Free some disk space or check the folder's rights."
        ) from error


def read_json(kind: type[T], path: Path) -> T:
    """Reads what `write_json` wrote.

    Raises:
        StoreFailed: The file is missing, torn or of another version.
    """
    try:
        result: T = _adapter(kind).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreFailed(f"Could not read {path}: {error}", hint="Delete it and build again.") from error
    return result


def content_key(value: Any) -> str:
    """SHA-256 of a value's canonical JSON: equal values, equal keys."""
    text = json.dumps(to_data(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
