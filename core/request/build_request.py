"""The build request: everything that decides what a build does. Same request, same key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.backends.base import BuildConfig, ChecksConfig, OptionValue, backend_named, known_option
from core.base.availability import availability_of
from core.base.errors import InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.profile import ShapeProfile, default_range
from core.base.serialization import content_key
from core.benchmark.measurement import Protocol
from core.models.given_shapes import own_symbols, with_asked_axes
from core.models.model import Model
from core.precision.settings import PrecisionSettings, settings_as_texts
from core.precision.target import check_placements, parse_target
from core.request.paths import parse_path, path_named, path_title, precisions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build and how to judge it.

    Attributes:
        model: Digest of the stored model.
        path: Id of one of the model's paths.
        signature: Name; None for the model's default.
        options: The backend's knobs that differ from their defaults.
        lowering: How the precision is put into the graph.
        calibration: Digest of stored calibration data, for INT8 and FP8.
        inputs: Digest of the user's own parity inputs; None for seeded random ones.
        seed: Of the random inputs.
        ranges: From (included) and to (excluded) of random inputs by name, where the default does not do.
    """

    model: str
    path: str
    precision: Precision = Precision.FP32
    signature: str | None = None
    profile: ShapeProfile = field(default_factory=ShapeProfile)
    options: dict[str, OptionValue] = field(default_factory=dict)
    lowering: PrecisionSettings = field(default_factory=PrecisionSettings)
    calibration: str | None = None
    inputs: str | None = None
    device: str = "cpu"
    threads: int | None = None
    protocol: Protocol = field(default_factory=Protocol)
    seed: int = 0
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return content_key(self)

    @property
    def title(self) -> str:
        """For people: `ONNX → ONNX Runtime in fp32`."""
        return f"{path_title(self.path)} in {self.precision.value}"

    @property
    def settings_text(self) -> str:
        """The settings that are no defaults, which set builds of one path and precision apart; empty without any."""
        settings = [f"{symbol} {axis}" for symbol, axis in self.profile.axes.items() if axis != default_range(symbol)]
        settings += [f"{name}={value}" for name, value in self.options.items()]
        return ", ".join([*settings, *settings_as_texts(self.lowering)])

    @property
    def full_title(self) -> str:
        """The title with them."""
        return f"{self.title}, {self.settings_text}" if self.settings_text else self.title

    @property
    def backend(self) -> str:
        return parse_path(self.path).backend

    @property
    def config(self) -> BuildConfig:
        return BuildConfig(
            variant=parse_path(self.path).variant,
            precision=self.precision,
            profile=self.profile,
            options=self.options,
            device=self.device,
            threads=self.threads,
        )


def effective_options(request: BuildRequest) -> dict[str, OptionValue]:
    """The backend's options with the request's own in place of the defaults."""
    return {option.name: option.default for option in backend_named(request.backend).options} | request.options


def aimed_at(request: BuildRequest, version: str | None) -> BuildRequest:
    """The request with the version that will build it as its precision's target, where each version reads other graphs."""
    backend = backend_named(request.backend)
    target = backend.target(version)
    if request.lowering.target or not request.precision.in_graph or target == backend.target(None):
        return request
    return replace(request, lowering=replace(request.lowering, target=target))


def _check_lowering(request: BuildRequest, title: str, target: str | None) -> None:
    """Refuses placements that the path's graphs do not take, before anything is queued."""
    if not request.lowering.placement or not request.precision.quantizes:
        return
    named = request.lowering.target or target
    if named is None:
        raise InvalidRequest(f"{title} does not take Q and DQ from the graph.", hint="Leave placement out for this runtime.")
    check_placements(request.precision, parse_target(named), request.lowering)


def checked(request: BuildRequest, model: Model, *, here: bool = True) -> BuildRequest:
    """The request in its one canonical form, after every check that needs no build.

    Args:
        here: The build is to run on this machine; False for one that a worker elsewhere may carry out.

    Raises:
        InvalidRequest: A name, option, precision or axis is not what the model or the backend has.
        Unavailable: The path does not work on this machine.
    """
    path = path_named(model, request.path, request.signature)
    if path.refused:
        raise InvalidRequest(f"{path.id} cannot be built: {path.refused.reason}", hint=path.refused.hint)
    if here and path.lacks:
        lack = path.lacks[0]
        raise Unavailable(f"{path.id} does not work here: {lack.reason}", hint=lack.hint)
    backend = backend_named(path.backend)
    if request.precision not in (able := precisions_of(path)):
        raise InvalidRequest(
            f"{backend.title} does not build {request.precision.value} on the path {path.id}.",
            hint=f"It builds: {', '.join(p.value for p in able)}.",
        )
    for name, value in request.options.items():
        known_option(backend, name).check(value)
    _check_lowering(request, backend.title, backend.target(None))
    signature = with_asked_axes(model.signature(request.signature), request.profile)
    builds_on = availability_of(backend).builds_on if here else ()
    if builds_on and request.device not in builds_on:
        raise InvalidRequest(
            f"{backend.title} has no device {request.device!r} here.", hint=f"Choose from: {', '.join(builds_on)}."
        )
    if isinstance(backend, ChecksConfig):
        backend.check(request.config, signature)
    return replace(
        aimed_at(request, availability_of(backend).version if here else None),
        model=model.digest,
        signature=signature.name,
        profile=request.profile.complete(signature, [name for own in own_symbols(signature).values() for name in own.values()]),
        options={k: v for k, v in sorted(request.options.items()) if v != known_option(backend, k).default},
    )
