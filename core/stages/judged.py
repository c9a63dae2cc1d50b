"""By what a source model's outputs are judged: what makes them, whether they repeat themselves, and their own noise."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.backends.base import Backend, Engine, Widens
from core.base.errors import Cancelled
from core.base.tensorfile import read_tensors
from core.base.tensors import NARROW_FLOATS, Array, Session, Tensors
from core.graph.heads import judgings
from core.models.model import Source
from core.parity.compare import compare
from core.parity.judging import PLAIN, Judging


def with_heads(source: Source) -> dict[str, Judging]:
    """What stands at the outputs; nothing where the file cannot be read so, as a comparison without it is one too."""
    try:
        return judgings(source.format, source.path, source.signature)
    except Exception:  # readers of six formats on a stranger's file
        traceback.print_exc()
        return {}


def with_steadiness(session: Session, folder: Path, known: dict[str, Judging]) -> dict[str, Judging]:
    """What is known of each output, with how far it is from itself when the first set is run once more."""
    first = read_tensors(folder / "outputs-0.zip")
    again = session.run(read_tensors(folder / "inputs-0.zip"))
    found = dict(known)
    for output in compare([first], [again], 0.0).outputs if first else ():
        off = max(output.max_rel or 0.0, (output.non_finite + (output.unequal or 0)) / max(1, output.elements))
        if output.mismatch or off:
            found[output.name] = replace(known.get(output.name, PLAIN), unsteady=1.0 if output.mismatch else min(off, 1e300))
    return found


def with_noise(backend: Backend, engine: Engine, folder: Path, sets: int, known: Mapping[str, Judging]) -> dict[str, Judging]:
    """What is known of each output; of a model that computes in 16-bit floats with how far it is from itself in float32.

    Args:
        folder: Of the inputs and outputs of so many sets.
    """
    if not isinstance(backend, Widens) or not (narrow := backend.narrow_type(engine)):
        return dict(known)
    noise: dict[str, float | None] = {spec.name: None for spec in engine.signature.outputs}
    try:
        with backend.open_wide(engine) as session:
            wide = (session.run(_wide(read_tensors(folder / f"inputs-{number}.zip"))) for number in range(sets))
            own = (_wide(read_tensors(folder / f"outputs-{number}.zip")) for number in range(sets))
            noise |= {one.name: one.max_rel for one in compare(wide, own, 0.0).outputs}
    except Cancelled:
        raise
    except Exception:  # a runtime raises what it likes of a graph that we rewrote
        traceback.print_exc()
    return dict(known) | {name: replace(known.get(name, PLAIN), narrow=narrow, noise=off) for name, off in noise.items()}


def _wide(tensors: Tensors) -> dict[str, Array]:
    return {
        name: value.astype(np.float32) if value.dtype.name in NARROW_FLOATS else value
        for name, value in ((name, np.asarray(value)) for name, value in tensors.items())
    }
