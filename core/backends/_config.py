"""What every build checks of its config, so that all backends refuse in the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.backends.base import Backend, BuildConfig, OptionValue
from core.base.errors import InvalidRequest, Unavailable

_NODES = re.compile(r"\{\{(function_)?node .*")
_BOILERPLATE = re.compile(r"Graph execution error|Detected at node|<stack traces|File \"|\[\[$")


def checked_options(backend: Backend, config: BuildConfig, devices: Sequence[str]) -> dict[str, OptionValue]:
    """Every option of the backend with its value, after a check of the whole config.

    Args:
        devices: Device types that the backend can build for.

    Raises:
        InvalidRequest: A variant, precision, option or device is not the backend's.
        Unavailable: The backend cannot work here.
    """
    here = backend.availability()
    if not here.available:
        raise Unavailable(here.reason, hint=here.hint)
    _check("variant", config.variant, [variant.name for variant in backend.variants], backend)
    _check("precision", config.precision.value, [precision.value for precision in backend.precisions], backend)
    _check("device", config.device, devices, backend)
    if config.threads is not None and config.threads < 1:
        raise InvalidRequest(f"{config.threads} threads cannot run anything.", hint="Give 1 or more, or none for all cores.")
    known = {option.name: option for option in backend.options}
    for name, value in config.options.items():
        _check("option", name, list(known), backend)
        option = known[name]
        if option.choices:
            _check(name, value, option.choices, backend)
        elif type(value) is not type(option.default):
            raise InvalidRequest(f"{name} cannot be {value!r}.", hint=f"Give a {type(option.default).__name__}.")
    return {name: config.options.get(name, option.default) for name, option in known.items()}


def first_line(error: Exception) -> str:
    """The line of a runtime's error that tells what went wrong, without TensorFlow's stack of where; the rest is for `detail`."""
    text = str(getattr(error, "message", "") or error)
    lines = [stripped for line in text.splitlines() if (stripped := _NODES.sub("", line).strip())]
    telling = [line for line in lines if not _BOILERPLATE.match(line)] or lines or [type(error).__name__]
    return telling[0][:400]


def _check(what: str, value: OptionValue, choices: Sequence[OptionValue], backend: Backend) -> None:
    if value not in choices:
        able = ", ".join(str(choice) for choice in choices if choice != "")
        raise InvalidRequest(
            f"{backend.title} has no {what} {value!r}.", hint=f"Choose from: {able}." if able else "Leave it out."
        )
