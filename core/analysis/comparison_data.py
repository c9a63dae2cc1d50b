"""A row of a comparison for scripts."""

from __future__ import annotations

from typing import Any

from core.analysis.comparison_row import ComparisonRow


def row_as_data(row: ComparisonRow) -> dict[str, Any]:
    """A row for scripts, flat; None for what it does not have. Names and order stay as they are."""
    candidate, worst, graph = row.candidate, row.candidate.worst, row.candidate.graph
    return {
        **_picked(candidate, "key", "title", "path", "precision"),
        **_picked(row, "standing", "verdict"),
        **_picked(row.latency, "median_ms", "low_ms", "high_ms", "p90_ms", "p99_ms"),
        **_picked(candidate.measurement, "throughput", "load_ms", "first_ms", "memory_bytes"),
        **_picked(candidate, "size_bytes", "size_ratio", "build_seconds"),
        "parity_passed": candidate.on_par,
        "worst_output": worst.name if worst else None,
        **_picked(worst, "max_rel", "cosine", "top1"),
        "layers": len(graph.layers) if graph else None,
        "fused_layers": len(graph.fused_layers) if graph else None,
        "source_nodes": len(graph.source_nodes) if graph else None,
        "unmapped": len(graph.unmapped) if graph else None,
        "speedup": row.speedup.ratio if row.speedup else None,
        "speedup_low": row.speedup.low if row.speedup else None,
        "speedup_high": row.speedup.high if row.speedup else None,
        **_picked(candidate, "notes", "device", "accuracy", "reference_accuracy"),
        **_picked(row, "payoff", "disagreements"),
        "unmeasured": candidate.unmeasured,
        **_picked(candidate.memory, "weights_bytes", "activation_bytes", "context_bytes"),
        "gpu_memory_bytes": candidate.memory.device_bytes(1) if candidate.memory else None,
        "parity": candidate.verdict,
        "unchecked": candidate.unchecked,
        "stamp": candidate.stamp,
        "how": row.speedup.how.value if row.speedup else None,
        "rivals": list(row.rivals),
        "weaknesses": candidate.measurement.weaknesses if candidate.measurement else (),
    }


def _picked(value: object, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name, None) for name in names}
