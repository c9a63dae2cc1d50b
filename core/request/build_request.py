"""The build request: everything that decides what a build does. Same request, same key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from core.backends.base import BuildConfig, OptionValue, all_backends, backend_named
from core.base.errors import InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.profile import ShapeProfile
from core.base.serialization import content_key
from core.benchmark.measurement import Protocol
from core.models.model import Model
from core.precision.settings import PrecisionSettings
from core.precision.target import TENSORRT
from core.request.paths import path_named, precisions_of


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
    def backend(self) -> str:
        return backend_and_variant(self.path)[0]

    @property
    def config(self) -> BuildConfig:
        return BuildConfig(
            variant=backend_and_variant(self.path)[1],
            precision=self.precision,
            profile=self.profile,
            options=self.options,
            device=self.device,
            threads=self.threads,
        )


def backend_and_variant(path_id: str) -> tuple[str, str]:
    """The backend and the variant ("" for none) at a path id's end."""
    parts = path_id.split(".")
    backends = all_backends()
    return (parts[-1], "") if parts[-1] in backends else (parts[-2], parts[-1])


def effective_options(request: BuildRequest) -> dict[str, OptionValue]:
    """The backend's options with the request's own in place of the defaults."""
    return {option.name: option.default for option in backend_named(request.backend).options} | request.options


def aimed_at(request: BuildRequest, version: str | None) -> BuildRequest:
    """The request with the TensorRT that will build it as its precision's target: each version reads other graphs."""
    if not version or request.backend != TENSORRT or request.lowering.target or not request.precision.in_graph:
        return request
    return replace(request, lowering=replace(request.lowering, target=f"{TENSORRT}-{version}"))


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
    known = {option.name: option for option in backend.options}
    for name, value in request.options.items():
        if name not in known:
            raise InvalidRequest(f"{backend.title} has no option {name!r}.", hint=f"It has: {', '.join(known) or 'none'}.")
        if known[name].choices and value not in known[name].choices:
            raise InvalidRequest(f"{name} cannot be {value!r}.", hint=f"Choose from {known[name].choices}.")
    signature = model.signature(request.signature)
    return replace(
        aimed_at(request, backend.availability().version if here else None),
        model=model.digest,
        signature=signature.name,
        profile=request.profile.complete(signature),
        options={k: v for k, v in sorted(request.options.items()) if v != known[k].default},
    )
