"""Sets of options that several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of each argument whose type is a dataclass, and hands them over as that argument.

    Typer reads a command's options from its signature; this one is made of the command's own and those of the sets.
    """
    own = inspect.signature(command, eval_str=True).parameters
    sets = {name: parameter.annotation for name, parameter in own.items() if _is_set(parameter.annotation)}
    shared = {name: inspect.signature(kind, eval_str=True).parameters for name, kind in sets.items()}

    @functools.wraps(command)
    def flat(**values: Any) -> None:
        given = {name: sets[name](**{field: values.pop(field) for field in fields}) for name, fields in shared.items()}
        command(**values, **given)

    parameters = [parameter for name, parameter in own.items() if name not in sets]
    parameters += [parameter for fields in shared.values() for parameter in fields.values()]
    everything = sorted(parameters, key=lambda parameter: parameter.default is not parameter.empty)
    everything = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in everything]
    flat.__signature__ = inspect.Signature(everything)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    return flat


def _is_set(kind: Any) -> bool:
    return is_dataclass(kind)
