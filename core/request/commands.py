"""The `engineroom` commands that do what a page does, to copy into a terminal or a script."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.base.precision import Precision
from core.base.units import digest
from core.benchmark.measurement import Protocol
from core.precision.settings import settings_as_texts
from core.request.build_request import BuildRequest

DataPath = Callable[[str], Path]


def command_for(request: BuildRequest, data_path: DataPath, *, command: str = "build") -> str:
    """The command that carries this request out.

    Args:
        command: `build` in the foreground, or `submit` to the queue.
        data_path: Where data that the user brought lie, by their digest: `Workspace.data_path`.
    """
    return shlex.join([*_head(request, command), *_about([request]), *_shared(request, data_path)])


def sweep_command_for(requests: Sequence[BuildRequest], data_path: DataPath) -> list[str]:
    """The `submit` commands for several requests: one for all that differ in path and precision alone.

    `submit` builds every path in every precision given, so requests share a command only if they are such a product.
    """
    groups: dict[tuple[str, ...], list[BuildRequest]] = {}
    for request in requests:
        groups.setdefault((request.model, *_shared(request, data_path)), []).append(request)
    commands = []
    for group in groups.values():
        pairs = {(request.path, request.precision) for request in group}
        product = {(a.path, b.precision) for a in group for b in group}
        for members in [group] if pairs == product else [[request] for request in group]:
            commands.append(shlex.join([*_head(members[0], "submit"), *_about(members), *_shared(members[0], data_path)]))
    return commands


def report_command_for(keys: Sequence[str], output: str) -> str:
    """The command that writes the report of these builds."""
    return shlex.join(["engineroom", "report", *(digest(key) for key in keys), "-o", output])


def run_command_for(key: str) -> str:
    """The command that has a build's engine run where it can."""
    return shlex.join(["engineroom", "run", digest(key)])


def duel_command_for(keys: Sequence[str]) -> str:
    """The command that holds builds' engines head to head; empty for fewer than two."""
    return shlex.join(["engineroom", "duel", *(digest(key) for key in keys)]) if len(keys) > 1 else ""


def bench_command_for(key: str, *, elsewhere: bool = False) -> str:
    """The command that measures a build's engine again.

    Args:
        elsewhere: Its figures are from another device than it was built on.
    """
    return shlex.join(["engineroom", *(["run", digest(key), "--again"] if elsewhere else ["bench", digest(key)])])


def _head(request: BuildRequest, command: str) -> list[str]:
    return ["engineroom", command, digest(request.model)]


def _about(requests: Sequence[BuildRequest]) -> Iterator[str]:
    """Paths and precisions, each once."""
    for path in dict.fromkeys(request.path for request in requests):
        yield from ("--path", path)
    precisions = list(dict.fromkeys(request.precision for request in requests))
    if precisions != [Precision.FP32]:
        for precision in precisions:
            yield from ("--precision", precision.value)


def _shared(request: BuildRequest, data_path: DataPath) -> tuple[str, ...]:
    return tuple(_options(request, data_path))


def _options(request: BuildRequest, data_path: DataPath) -> Iterator[str]:
    """Everything that differs from the defaults."""
    if request.signature:
        yield from ("--signature", request.signature)
    for symbol, axis in request.profile.axes.items():
        yield from ("--shape", f"{symbol}={axis}")
    for name, value in request.options.items():
        yield from ("--option", f"{name}={value}")
    for text in settings_as_texts(request.lowering):
        yield from ("--lower", text)
    if request.calibration:
        yield from ("--calibration", str(data_path(request.calibration)))
    if request.inputs:
        yield from ("--inputs", str(data_path(request.inputs)))
    for name, (low, high) in request.ranges.items():
        yield from ("--range", f"{name}={_number(low)}:{_number(high)}")
    if request.device != "cpu":
        yield from ("--device", request.device)
    if request.threads is not None:
        yield from ("--threads", str(request.threads))
    if request.protocol.min_seconds != Protocol().min_seconds:
        yield from ("--seconds", _number(request.protocol.min_seconds))
    if request.seed:
        yield from ("--seed", str(request.seed))


def _number(value: float) -> str:
    """All digits, and no `.0` where there are none behind the point."""
    return str(int(value)) if value.is_integer() else repr(value)
