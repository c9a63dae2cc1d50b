"""What shape profiles cost of memory: builds that differ in them alone, and the profiles inside one engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.analysis.memory import sum_told
from core.base.dtypes import array_bytes
from core.base.profile import AxisRange, Point, ShapeProfile, parse_profiles
from core.base.tensors import Signature, TensorSpec
from core.base.units import count, size
from core.benchmark.measurement import Protocol
from core.graph.memory import EngineMemory
from core.request.build_request import BuildRequest

MORE_PROFILES = "profiles"  # the option of TensorRT that adds some
FEWEST_OFFERED, MOST_OFFERED = 64, 4096


def profiles_of(request: BuildRequest) -> tuple[ShapeProfile, ...]:
    """All of a checked request's profiles, the main one first, each with every axis."""
    main = request.profile
    more = parse_profiles(str(request.options.get(MORE_PROFILES, "")))
    return (main, *(ShapeProfile(axes={axis: one.range(axis) for axis in main.axes}) for one in more))


def largest(request: BuildRequest, axis: str) -> int:
    """The most that an axis may be in any of its profiles: what activations are counted for."""
    return max(profile.length(axis, Point.MAX) for profile in profiles_of(request))


def same_but_shapes(request: BuildRequest) -> BuildRequest:
    """Equal for builds that differ in their profiles alone, or in how they were judged."""
    options = {name: value for name, value in request.options.items() if name != MORE_PROFILES}
    return replace(
        request,
        profile=ShapeProfile(),
        options=options,
        inputs=None,
        threads=None,
        protocol=Protocol(),
        seed=0,
        ranges={},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePoint:
    """One build on the curve of an axis.

    Attributes:
        length: The most that the axis may be in it.
        profiles: All of the build's.
        memory: None where it is not told, or not yet.
        is_chosen: The build that the others are set beside.
    """

    key: str
    length: int
    profiles: tuple[ShapeProfile, ...]
    memory: EngineMemory | None
    is_chosen: bool = False

    @property
    def activation_bytes(self) -> int | None:
        return self.memory.activation_bytes if self.memory else None

    @property
    def text(self) -> str:
        """Its profiles: `batch 1:1:8`, or `batch 1; batch 8:8:32`."""
        return "; ".join(profile_text(profile) for profile in self.profiles)


def profile_text(profile: ShapeProfile) -> str:
    """`batch 1:1:8, length 64`."""
    return ", ".join(f"{axis} {lengths}" for axis, lengths in profile.axes.items()) or "fixed shapes"


def curve(of: BuildRequest, axis: str, others: Mapping[str, tuple[BuildRequest, EngineMemory | None]]) -> list[ProfilePoint]:
    """The builds that differ from one in their profiles alone and are as large in every other axis, by length.

    Args:
        others: Builds by key; that of `of` may be among them.
    """
    alike = same_but_shapes(of)
    rest = [name for name in of.profile.axes if name != axis]
    found = [
        ProfilePoint(
            key=key,
            length=largest(request, axis),
            profiles=profiles_of(request),
            memory=memory,
            is_chosen=key == of.key,
        )
        for key, (request, memory) in others.items()
        if same_but_shapes(request) == alike and all(largest(request, name) == largest(of, name) for name in rest)
    ]
    return sorted(found, key=lambda point: (point.length, not point.is_chosen, point.text))


def growth_text(points: Sequence[ProfilePoint], axis: str) -> str:
    """How activations grow along an axis, between the ends of the curve; empty where fewer than two lengths are told."""
    known = [(point.length, point.activation_bytes) for point in points if point.activation_bytes is not None]
    if len({length for length, _ in known}) < 2:
        return ""
    first, last = min(length for length, _ in known), max(length for length, _ in known)
    low, high = (max(found for length, found in known if length == end) for end in (first, last))
    each = (high - low) / (last - first)
    grown = f"{size(low)} of activations at a largest {axis} of {count(first)}, {size(high)} at {count(last)}"
    return f"{grown}: {size(round(each))} for each more on average." if each > 0 else f"{grown}."


def offered_lengths(of: BuildRequest, axis: str, there: Iterable[int]) -> list[int]:
    """Powers of two that no build has as its largest length yet, up to twice the largest that one has."""
    known = {largest(of, axis), *there}
    most = min(MOST_OFFERED, max(FEWEST_OFFERED, 2 * max(known)))
    return [length for power in range(most.bit_length()) if (length := 2**power) <= most and length not in known]


def at_length(request: BuildRequest, axis: str, length: int, *, alone: bool = False) -> BuildRequest:
    """The same build with another largest length of an axis, and with one profile.

    Args:
        alone: The axis has that length and no other; else it begins, and is tuned for, where this build's is.
    """
    old = request.profile.axes[axis]
    new = AxisRange(
        min=length if alone else min(old.min, length),
        opt=length if alone else min(old.opt, length),
        max=length,
    )
    options = {name: value for name, value in request.options.items() if name != MORE_PROFILES}
    return replace(request, profile=ShapeProfile(axes={**request.profile.axes, axis: new}), options=options)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """What one of an engine's profiles costs a context that runs it.

    Attributes:
        number: From 0.
        activation_bytes: None where profiles are not told apart.
        scratch_bytes: The most that one of the profile's layers asks for, a part of the above; None where none is told.
    """

    number: int
    profile: ShapeProfile
    activation_bytes: int | None
    scratch_bytes: int | None


def profile_rows(memory: EngineMemory, profiles: Sequence[ShapeProfile]) -> list[ProfileRow]:
    """A row for each profile; none where the engine has but one."""
    apart: tuple[int | None, ...] = memory.profile_bytes
    if len(apart) != len(profiles):
        apart = (None,) * len(profiles)
    return [
        ProfileRow(
            number=number,
            profile=profile,
            activation_bytes=bytes_told,
            scratch_bytes=max((layer.scratch_bytes for layer in memory.layers if layer.profile == number), default=None),
        )
        for number, (profile, bytes_told) in enumerate(zip(profiles, apart, strict=True))
        if len(profiles) > 1
    ]


def ends_bytes(signature: Signature, profiles: Sequence[ShapeProfile]) -> tuple[int | None, int | None]:
    """Bytes of all inputs and of all outputs at the largest shapes of any profile; None where a shape or type is not known."""
    return _largest_bytes(signature.inputs, profiles), _largest_bytes(signature.outputs, profiles)


def _largest_bytes(specs: Sequence[TensorSpec], profiles: Sequence[ShapeProfile]) -> int | None:
    sizes = [sum_told(_end_bytes(spec, profile) for spec in specs) for profile in profiles]
    known = [one for one in sizes if one is not None]
    return max(known) if len(known) == len(sizes) and known else None


def _end_bytes(spec: TensorSpec, profile: ShapeProfile) -> int | None:
    known = spec.shape is not None and all(axis in profile.axes for axis in spec.dynamic_axes)
    return array_bytes(profile.shape(spec, Point.MAX), spec.dtype) if known else None
