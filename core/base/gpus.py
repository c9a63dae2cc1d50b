"""GPUs by compute capability: which of them an engine runs on, and what such GPUs are called.

Source of the names: NVIDIA's list of CUDA GPUs and their compute capabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CUDA = "cuda"

_GPUS = {
    "7.5": "RTX 20, T4",
    "8.0": "A100",
    "8.6": "RTX 30, A10",
    "8.9": "RTX 40, L4",
    "9.0": "H100",
    "10.0": "B200",
    "12.0": "RTX 50",
    "12.1": "GB10",
    "12.x": "RTX 50",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsOn:
    """What an engine runs on that does not run where it is built.

    Attributes:
        devices: Device types ("cuda").
        backend: Name of the backend that runs it.
        title: The backend's, for people.
        capabilities: Compute capabilities of the GPUs that will do ("8.6", "12.x"); empty for any.
        where: All of it in words: "a GPU of compute capability 8.9 (RTX 40, L4)", "cuda".
    """

    devices: tuple[str, ...]
    backend: str
    title: str
    capabilities: tuple[str, ...] = ()
    where: str

    @property
    def kind_of_worker(self) -> str:
        """In words: "a GPU worker"."""
        return "a GPU worker" if self.devices == (CUDA,) else f"a worker for {either(self.devices)}"

    @property
    def worker(self) -> str:
        """A worker that can run it, in words: "a GPU worker of compute capability 8.9 that has TensorRT-RTX"."""
        able = f" of compute capability {either(self.capabilities)}" if self.capabilities else ""
        return f"{self.kind_of_worker}{able} that has {self.title}"


def fits(capability: str | None, capabilities: Sequence[str]) -> bool:
    """Whether a GPU of that compute capability ("8.9"; None when it is not told) is one of these."""
    if not capabilities:
        return True
    return capability is not None and bool({capability, f"{capability.partition('.')[0]}.x"} & set(capabilities))


def gpus_text(capabilities: Sequence[str]) -> str:
    """Those GPUs in words: "a GPU of compute capability 8.0 (A100) or 12.x (RTX 50)"."""
    return f"a GPU of compute capability {either([_named(one) for one in capabilities])}"


def either(names: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _named(capability: str) -> str:
    return f"{capability} ({_GPUS[capability]})" if capability in _GPUS else capability
