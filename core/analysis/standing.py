"""What an engine spends around the layers that gain by reduced precision, and what a change made of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.analysis.kernels import computes_quantized
from core.analysis.overheads.quantizing import kernels_apart
from core.analysis.traffic import OPEN_NOTE, Moved, Traffic, weight_bytes
from core.base.units import NOT_TOLD, size
from core.graph.engine_graph import EngineGraph

SAME = "the same"
HARDLY = 0.0005  # a change that a tenth of a percent does not show
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One engine.

    Attributes:
        layers: All that it tells.
        quantizing: Kernels that only bring tensors to a quantized type or back.
        quantized: Layers that compute a convolution or product of quantized tensors.
        moved: What all layers read and write between them.
        weight_bytes: What they read of constants; None when not told.
        engine_bytes: Of the engine's files; None where none was built.
    """

    layers: int
    quantizing: int
    quantized: int
    moved: Moved
    weight_bytes: int | None
    engine_bytes: int | None = None

    @property
    def everything(self) -> int | None:
        """What is moved between layers and read of constants; None where some of it is not told."""
        known = self.moved.known
        return None if known is None or self.moved.untold else known + (self.weight_bytes or 0)

    @property
    def text(self) -> str:
        """A sentence or two for the head of the findings."""
        weights = f", and {size(self.weight_bytes)} of constants" if self.weight_bytes is not None else ""
        note = f" {OPEN_NOTE}" if self.moved.open else ""
        if self.moved.known is None:
            return "What its layers read and write is not told, as lengths are open; fixed shapes (--shape) tell it."
        return f"Its layers read and write {self.moved.text} between them{weights}.{note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure before and after, as texts; `change` is empty where either is not told."""

    label: str
    before: str
    after: str
    change: str
    better: bool | None


def standing(graph: EngineGraph, engine_bytes: int | None = None) -> Standing:
    return Standing(
        layers=len(graph.layers),
        quantizing=len(kernels_apart(graph)),
        quantized=sum(computes_quantized(layer) for layer in graph.layers),
        moved=Traffic(graph).total,
        weight_bytes=weight_bytes(graph.layers),
        engine_bytes=engine_bytes,
    )


def changes(before: Standing, after: Standing) -> tuple[Change, ...]:
    """Every figure before and after, fewer being better but for layers that compute in a quantized type, which are a trade.

    Those of quantized layers are left out where neither engine has any.
    """
    return tuple(_changes(before, after))


def verdict(before: Standing, after: Standing) -> str:
    """What a change brought, in a sentence; nothing of time, which is not known from this."""
    pairs = {
        "layers": (before.layers, after.layers),
        "kernels that only quantize": (before.quantizing, after.quantizing),
        "bytes moved, constants among them,": (before.everything, after.everything),
    }
    ratios = {what: new / old - 1 for what, (old, new) in pairs.items() if old and new is not None and new != old}
    if not ratios:
        return "It changes nothing here."
    signs = {ratio < 0 for ratio in ratios.values()}
    head = "It trades" if len(signs) > 1 else "It helps" if signs == {True} else "It does not help"
    told = ", ".join(f"{what} {_signed(ratio, 0)}" for what, ratio in ratios.items())
    return f"{head}: {told}. What that does to the time, only a measurement tells."


def _changes(before: Standing, after: Standing) -> Iterator[Change]:
    yield _counted("Layers", before.layers, after.layers)
    if before.quantizing or after.quantizing:
        yield _counted("Kernels that only quantize", before.quantizing, after.quantizing)
    if before.quantized or after.quantized:
        compute = _counted("Layers that compute quantized", before.quantized, after.quantized)
        yield replace(compute, better=None)
    old, new = (None if one.moved.untold else one.moved.known for one in (before, after))  # parts of a sum are not held together
    yield _sized("Moved between layers", old, new, told=(before.moved.text, after.moved.text))
    yield _sized("Constants read", before.weight_bytes, after.weight_bytes)
    yield _sized("Engine file", before.engine_bytes, after.engine_bytes)


def _counted(label: str, before: int, after: int) -> Change:
    better = None if before == after else after < before
    return Change(label=label, before=f"{before:,}", after=f"{after:,}", change=_difference(before, after), better=better)


def _difference(before: int, after: int) -> str:
    return SAME if before == after else f"{after - before:+,}".replace("-", MINUS)


def _sized(label: str, before: int | None, after: int | None, told: tuple[str, str] | None = None) -> Change:
    texts = told or tuple(NOT_TOLD if one is None else size(one) for one in (before, after))
    if before is None or after is None or not before:
        return Change(label=label, before=texts[0], after=texts[1], change="", better=None)
    ratio = after / before - 1
    same = abs(ratio) < HARDLY
    return Change(
        label=label,
        before=texts[0],
        after=texts[1],
        change=SAME if same else _signed(ratio, 1),
        better=None if same else ratio < 0,
    )


def _signed(ratio: float, digits: int) -> str:
    return f"{100 * ratio:+.{digits}f} %".replace("-", MINUS)
