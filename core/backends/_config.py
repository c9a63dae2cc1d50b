"""What every build checks of its config, so that all backends refuse in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from core.backends.base import Backend, BuildConfig, OptionValue, known_option
from core.base.errors import InvalidRequest, Unavailable


def checked_options(backend: Backend, config: BuildConfig, devices: Sequence[str] | None = None) -> dict[str, OptionValue]:
    """Every option of the backend with its value, after a check of the whole config.

    Args:
        devices: Device types that will do; those that it builds on here unless given.

    Raises:
        InvalidRequest: A variant, precision, option or device is not the backend's.
        Unavailable: The backend cannot work here.
    """
    here = backend.availability()
    if not here.available:
        raise Unavailable(here.reason, hint=here.hint)
    _check("variant", config.variant, [variant.name for variant in backend.variants], backend)
    _check("precision", config.precision.value, [precision.value for precision in backend.precisions], backend)
    _check("device", config.device, here.builds_on if devices is None else devices, backend)
    if config.threads is not None and config.threads < 1:
        raise InvalidRequest(f"{config.threads} threads cannot run anything.", hint="Give 1 or more, or none for all cores.")
    for name, value in config.options.items():
        known_option(backend, name).check(value)
    return {option.name: config.options.get(option.name, option.default) for option in backend.options}


def _check(what: str, value: str, choices: Sequence[str], backend: Backend) -> None:
    if value not in choices:
        able = ", ".join(choice for choice in choices if choice)
        raise InvalidRequest(
            f"{backend.title} has no {what} {value!r}.", hint=f"Choose from: {able}." if able else "Leave it out."
        )
