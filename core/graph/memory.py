"""What an engine takes of memory, as its builder tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMemory:
    """What one layer of the builder's asks for, apart from tensors between layers.

    Attributes:
        layer: The builder's own name of it, which can stand for many kernels.
        profile: As `Layer.profile`.
        scratch_bytes: While it runs.
        device_persistent_bytes: On the GPU, for as long as a context lives.
        host_persistent_bytes: In the computer's memory, likewise.
    """

    layer: str
    scratch_bytes: int
    device_persistent_bytes: int = 0
    host_persistent_bytes: int = 0
    profile: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """Each figure None where the builder does not tell it.

    Attributes:
        weights_bytes: Loaded once, whatever runs.
        activation_bytes: Of one context, at the profile's largest shapes: tensors between layers and scratch, which share it.
            Of several profiles the one that takes most.
        scratch_bytes: The largest that one layer asks for, part of the above.
        device_persistent_bytes: Of one context, on the GPU.
        host_persistent_bytes: Of one context, in the computer's memory.
        profile_bytes: The activations of each of the engine's profiles; empty where it has one, or they are not told apart.
    """

    weights_bytes: int | None = None
    activation_bytes: int | None = None
    scratch_bytes: int | None = None
    device_persistent_bytes: int | None = None
    host_persistent_bytes: int | None = None
    layers: tuple[LayerMemory, ...] = ()
    profile_bytes: tuple[int, ...] = ()

    @property
    def context_bytes(self) -> int | None:
        """What each context takes of the GPU's memory; None where a part of it is not known."""
        if self.activation_bytes is None or self.device_persistent_bytes is None:
            return None
        return self.activation_bytes + self.device_persistent_bytes

    def device_bytes(self, contexts: int) -> int | None:
        """What the engine and that many contexts take of the GPU's memory together; None where a part is not known."""
        if self.weights_bytes is None or self.context_bytes is None:
            return None
        return self.weights_bytes + contexts * self.context_bytes
