"""Accuracy on labelled data: what a user cares about more than any distance between outputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.base.errors import InvalidRequest
from core.base.tensors import Array, Tensors
from core.parity.inputs import LABELS, read_npz
from core.parity.result import Accuracy

Ints = NDArray[np.int64]


def load_labels(path: Path) -> Array | None:
    """The true classes [samples] in the .npz's array `labels`; None when it has none.

    Raises:
        InvalidRequest: The labels are not one whole number a sample.
    """
    labels = read_npz(path).get(LABELS)
    if labels is None:
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 0:
        raise InvalidRequest(
            f"The labels in {path.name} are {labels.dtype.name} {list(labels.shape)}.",
            hint="Give one class number a sample, counted from 0.",
        )
    return labels


def accuracy(outputs: Iterable[Tensors], labels: Array, *, output: str | None = None) -> Accuracy:
    """Top-1 and top-5 of scores [batch, classes], in the order of the labels [samples].

    Args:
        output: Which output holds the scores; None for the only one of that shape.

    Raises:
        InvalidRequest: No output, or no single one, holds scores; or there are more or fewer scores than labels.
    """
    ranks: list[Ints] = []
    seen = classes = 0
    for tensors in outputs:
        output = output or _scores_name(tensors)
        scores = np.asarray(tensors[output]).astype(np.float64)
        classes = scores.shape[1]
        true = np.asarray(labels[seen : seen + len(scores)], dtype=np.int64)
        if len(true) != len(scores):
            raise InvalidRequest(f"There are more scores than the {len(labels)} labels.", hint="Give one label a sample.")
        if (true >= classes).any():
            raise InvalidRequest(
                f"Label {true.max()} is no class: output {output} scores {classes}.",
                hint="Count classes from 0, as the model does.",
            )
        ranks.append(_ranks(scores, true))
        seen += len(scores)
    if output is None or seen != len(labels):
        raise InvalidRequest(f"There are scores for {seen} samples and {len(labels)} labels.", hint="Give one label a sample.")
    rank = np.concatenate(ranks)
    top5 = float(np.mean(rank < 5)) if classes > 5 else None
    return Accuracy(output=output, samples=seen, top1=float(np.mean(rank == 0)), top5=top5)


def _scores_name(tensors: Tensors) -> str:
    fitting = [name for name, value in tensors.items() if np.ndim(value) == 2 and np.shape(value)[1] >= 2]
    if len(fitting) != 1:
        raise InvalidRequest(
            f"Which output holds the scores of classes? {len(fitting)} have the shape [batch, classes].",
            hint=f"Name one of: {', '.join(tensors) or 'none'}.",
        )
    return fitting[0]


def _ranks(scores: NDArray[np.float64], true: Ints) -> Ints:
    """Place of the true class among the scores, 0 for the best; of equal scores the lower class comes first, NaN comes last."""
    values = np.where(np.isnan(scores), -np.inf, scores)
    own = np.take_along_axis(values, true[:, None], axis=1)
    earlier = np.arange(values.shape[1])[None, :] < true[:, None]
    ahead = (values > own) | ((values == own) & earlier)
    return np.asarray(np.where(np.isneginf(own[:, 0]), values.shape[1], ahead.sum(axis=1)), dtype=np.int64)
