"""TensorRT's log: kept, counted for progress, and turned into a sentence when something fails."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.backends._tensorrt.build_log import LAYERS, is_about_memory
from core.base.errors import BuildFailed, EngineRoomError, RunFailed, Unavailable, UnsupportedOps
from core.onnxio.aliases import NO_ALIASES, Aliases

_LEVELS = ("internal error", "error", "warning", "info", "verbose")
# What CUDA's error codes say against the machine itself: reason and hint.
CUDA_ERRORS = {
    35: (
        "The NVIDIA driver is missing or older than this TensorRT needs.",
        "Update the driver; `nvidia-smi` tells its version.",
    ),
    100: ("No NVIDIA GPU was found.", "Use a machine with a GPU; in a container, start it with --gpus all."),
    101: ("The GPU that was asked for does not exist.", "Check CUDA_VISIBLE_DEVICES."),
    999: ("The NVIDIA driver failed to start.", "Restart the machine or reload the driver; `nvidia-smi` must work first."),
}
TARGET_HINT = "Leave that GPU out of target_capabilities, or build in another precision."
# TensorRT says how far a build is only in its log, before version 10.
_COSTS = "Computing costs for"
_NO_RUNNERS = re.compile(r"failed\. +(\S.*?) has no runners that implement it")
_COUNTS = re.compile(r"After .*?: (\d+) layers")
# Warnings that tell a user nothing: of the builder's own housekeeping, of what every model is told, or pointing elsewhere.
_NOISE = re.compile(
    r"CUDA context changed|CUDA lazy loading|timing cache|Cache result detected as invalid"
    r"|generated with INT64 weights|^Check verbose logs|^If this is not the desired behavior",
    re.IGNORECASE,
)
_WARNINGS_TOLD = 5
# What follows every error where no driver is, and is none itself.
_NO_DRIVER = re.compile(r"catchCudaError.*cudaError 35")
_FRONT = re.compile(
    r"^(?:\d+: )?(?:I\w+::\w+: )?(?:\[[^\]]*\] )?(?:\w+\.(?:cpp|h):\d+: )?(?:Error Code \d+: )?(?:Assertion failed: )?"
)
# What another layer of the builder adds to a reason, with its own place.
_BEHIND = re.compile(r"[;\s]*\[\w+\.(?:cpp|h):\d+: \w+\].*$", re.DOTALL)
# `API Usage Error (what was said. In function at file:line)` and an assertion in C++ that has its sentence beside it.
_PLACED = re.compile(r"[\w ]+ \((.*) In \S+ at \S+:\d+.*\)", re.DOTALL)
_ASSERTED = re.compile(
    r".* && \"(?P<quoted>.*?)\"!?|Parameter check failed, condition: .*?\. (?P<after>[A-Z].*)"
    r"|.*(?:==|&&|\|\|) .*?[\w)\"]: (?P<said>\w.*)",
    re.DOTALL,
)


class Log:
    """What TensorRT said. `logger` is handed to TensorRT, which calls it from its own threads.

    Args:
        path: Where `save` writes it.
        title: Of the product that says it.
        aliases: Of the nodes in what it says.

    Attributes:
        layers_told: The message that lists the engine's layers; empty before it came, and from builders that write none.
        memory_told: The messages that tell of the engine's memory.
        without_runners: The node that nothing carries out, by its own name: the builder adds an ending to the one it was given.
    """

    def __init__(self, path: Path | None = None, title: str = "TensorRT", aliases: Aliases = NO_ALIASES) -> None:
        self.path = path
        self.title = title
        self.aliases = aliases
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.layers = 0
        self.timed = 0
        self.layers_told = ""
        self.memory_told: list[str] = []
        self.without_runners = ""
        self._lines: list[str] = []

    def take(self, level: int, text: str) -> None:
        """Takes one message; `level` is `ILogger.Severity`, 0 the worst."""
        named = self.aliases.restore(text) if level <= 3 else text
        if level <= 1 and not _NO_DRIVER.search(text):
            self.errors.append(named)
            if (found := _NO_RUNNERS.search(text)) and self.aliases.mentioned(found[1]):
                self.without_runners = self.aliases.name(found[1])
        elif level == 2:
            self.warnings.append(named)
        if text.startswith(LAYERS):
            self.layers_told = text
        elif is_about_memory(text):
            self.memory_told.append(self.aliases.restore(text))
        elif _COSTS in text:
            self.timed += 1
        elif found := _COUNTS.search(text):
            self.layers = int(found.group(1))
        if level <= 3:
            self._lines.append(f"[{_LEVELS[level]}] {named}")

    @property
    def fraction(self) -> float | None:
        """Share of the layers whose kernels have been timed; None before TensorRT has counted them."""
        return min(0.99, self.timed / self.layers) if self.layers and self.timed else None

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def save(self) -> None:
        if self.path:
            self.path.write_text(self.text + "\n", encoding="utf-8")

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self._lines[-lines:])


_loggers: dict[type, Any] = {}


def make_logger(trt: Any, log: Log) -> Any:
    """The process's `ILogger`, which writes into `log` from now on: TensorRT keeps the first one that it is given."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.into = log

        def log(self, severity: Any, message: str) -> None:
            self.into.take(int(severity), message)

    if trt.ILogger not in _loggers:
        _loggers[trt.ILogger] = Logger()
    _loggers[trt.ILogger].into = log
    return _loggers[trt.ILogger]


def start_failure(log: Log, what: str) -> EngineRoomError:
    """Why TensorRT could not even start on this machine."""
    text = "\n".join(log.errors)
    if found := re.search(r"CUDA initialization failure with error: (\d+)", text):
        code = int(found.group(1))
        reason, hint = CUDA_ERRORS.get(code, (f"CUDA failed with error {code}.", "Check `nvidia-smi`."))
        return Unavailable(reason, hint=hint, detail=log.tail())
    return Unavailable(f"{log.title} could not {what} on this machine.", hint="The log's end may tell why.", detail=log.tail())


def load_failure(log: Log) -> EngineRoomError:
    """Why an engine could not be loaded on this machine."""
    text = "\n".join(line for line in log.text.splitlines() if line.startswith(("[error]", "[internal error]")))
    if found := re.search(r"has compute capability (\d+\.\d+)\.? Supported compute capabilities: ([\d.> ]*[\d.])", text):
        return Unavailable(
            f"The engine does not run on this GPU, whose compute capability is {found[1]}: it is for "
            f"{', '.join(found[2].split())}.",
            hint="Run it on another GPU, or build for this one, where another backend or the option target_capabilities can.",
            detail=log.tail(),
        )
    if (found := re.search(r"cudaError (\d+)", text)) and int(found[1]) in CUDA_ERRORS:
        reason, hint = CUDA_ERRORS[int(found[1])]
        return Unavailable(reason, hint=hint, detail=log.tail())
    return RunFailed(
        f"{log.title} could not load the engine: {clean(log.errors[0]) if log.errors else 'it gave no reason'}",
        hint=f"An engine runs on the GPU type and {log.title} version it was built with; build it again here.",
        detail=log.tail(),
    )


def build_failure(log: Log, name: str, free_bytes: int | None = None) -> EngineRoomError:
    """Why TensorRT gave no engine back."""
    text = "\n".join(log.errors + log.warnings)
    if re.search(r"out of memory|OutOfMemory|requested.*bytes.*(?:failed|could not)", text, re.IGNORECASE):
        free = f" ({free_bytes / 2**30:.1f} GiB are free)" if free_bytes is not None else ""
        return BuildFailed(
            f"The GPU's memory was not enough to build {name}{free}.",
            hint="Stop what else uses the GPU, set workspace_mb, lower the profile's largest shapes or the optimization level.",
            detail=log.tail(),
        )
    if re.search(r"Could not find any implementation for node", text):
        node = _first(r"Could not find any implementation for node (.+?)\.?$", log.errors)
        return BuildFailed(
            f"{log.title} has no kernel on this GPU for {node}.",
            hint="Allow more workspace, more tactic sources or another precision.",
            detail=log.tail(),
        )
    if found := _NO_RUNNERS.search(text):
        return UnsupportedOps(
            f"{log.title} has no kernel for node {log.without_runners or found[1]}.",
            hint="A plugin for its op, given by the option `plugins`, would let it build; or use another path.",
            detail=log.tail(),
        )
    if "within workspace limit" in text:
        return BuildFailed(
            f"{log.title} could not build {name}: {clean(log.errors[0])}",
            hint="Raise workspace_mb, or leave it at 0 for no limit.",
            detail=log.tail(),
        )
    if missing := re.search(r"Unable to load library: (\S+?)\)?$", text, re.MULTILINE):
        return Unavailable(
            f"{log.title}'s library {missing.group(1)} is not installed here.",
            hint="Install the package that brings it, in TensorRT's version; version compatible engines need tensorrt_lean.",
            detail=log.tail(),
        )
    # The builder's own last word names the node; what came before may not.
    said = next((line for line in log.errors if line.startswith("IBuilder::")), log.errors[0] if log.errors else "")
    return BuildFailed(
        f"{log.title} could not build {name}: {clean(said) if said else 'it gave no reason'}",
        hint=TARGET_HINT if "Cannot compile " in said else "The log's end tells more.",
        detail=log.tail(),
    )


def warning_notes(warnings: Iterable[str], title: str = "TensorRT") -> list[str]:
    """What TensorRT warned of, as notes: each warning once, without those that tell a user nothing, and the first few of many."""
    told = dict.fromkeys(clean(text).removeprefix("- ") for text in warnings if text.strip())
    kept = [text for text in told if not _NOISE.search(text)]
    more = len(kept) - _WARNINGS_TOLD
    return [f"{title} warns: {text}" for text in kept[:_WARNINGS_TOLD]] + ([f"And {more} more in the log."] if more > 0 else [])


def clean(text: str) -> str:
    """A message's reason, without the source files, functions and codes that TensorRT and its parser put around it."""
    lines = [line for line in text.strip().splitlines() if not _NO_DRIVER.search(line)] or [text.strip()]
    said = lines[1] if lines[0].startswith("Invalid Node") and len(lines) > 1 else lines[0]
    said = _FRONT.sub("", said).strip()
    if found := _PLACED.fullmatch(said):
        said = _FRONT.sub("", found[1].rstrip(" ."))
    if found := _ASSERTED.fullmatch(said):
        said = next(filter(None, found.groups()))
    return (_BEHIND.sub("", said) or said).strip()


def _first(pattern: str, lines: Sequence[str]) -> str:
    return next((found.group(1) for line in lines if (found := re.search(pattern, line))), "a layer")
