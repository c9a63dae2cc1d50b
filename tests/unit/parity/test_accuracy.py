"""Accuracy against scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.base.errors import InvalidRequest
from core.parity.accuracy import accuracy, load_labels


def test_top1_and_top5_match_scikit_learn() -> None:
    from sklearn.metrics import top_k_accuracy_score  # takes a second, which not every process of a run is to spend

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, size=500)
    scores = rng.normal(size=(500, 10))
    scores[np.arange(500), labels] += 1.0
    found = accuracy([{"probs": scores[:300]}, {"probs": scores[300:]}], labels)
    assert (found.output, found.samples) == ("probs", 500)
    assert found.top1 == pytest.approx(top_k_accuracy_score(labels, scores, k=1))
    assert found.top5 == pytest.approx(top_k_accuracy_score(labels, scores, k=5))


def test_equal_scores_earn_no_accuracy_for_free() -> None:
    assert accuracy([{"y": np.ones((3, 4))}], np.array([0, 1, 2])).top1 == pytest.approx(1 / 3)


def test_nan_is_wrong_and_five_classes_have_no_top5() -> None:
    found = accuracy([{"y": np.full((2, 5), np.nan)}], np.array([0, 1]))
    assert (found.top1, found.top5) == (0.0, None)


def test_the_output_is_named_or_the_only_one_that_fits() -> None:
    tensors = {"features": np.ones((2, 8)), "probs": np.eye(2)}
    with pytest.raises(InvalidRequest, match="Which output holds the scores"):
        accuracy([tensors], np.array([0, 1]))
    assert accuracy([tensors], np.array([0, 1]), output="probs").top1 == 1.0
    assert accuracy([{"count": np.ones(2), "probs": np.eye(2)}], np.array([0, 1])).top1 == 1.0


def test_labels_must_match_the_scores() -> None:
    with pytest.raises(InvalidRequest, match="more scores than the 1 labels"):
        accuracy([{"y": np.eye(2)}], np.array([0]))
    with pytest.raises(InvalidRequest, match="scores for 2 samples and 3 labels"):
        accuracy([{"y": np.eye(2)}], np.array([0, 1, 0]))
    with pytest.raises(InvalidRequest, match="Label 7 is no class"):
        accuracy([{"y": np.eye(2)}], np.array([0, 7]))
    with pytest.raises(InvalidRequest, match="scores for 0 samples"):
        accuracy([], np.array([0]))


def test_labels_are_read_from_the_users_file(tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    np.savez(path, x=np.zeros((3, 2)), labels=np.array([[1], [0], [2]], dtype=np.uint8))
    labels = load_labels(path)
    assert labels is not None
    assert labels.tolist() == [1, 0, 2]
    np.savez(path, x=np.zeros((3, 2)))
    assert load_labels(path) is None


@pytest.mark.parametrize("labels", [np.array([0.5]), np.zeros((2, 2), int), np.array([], int), np.array([-1])])
def test_labels_of_another_form_are_refused(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "bad.npz", labels=labels)
    with pytest.raises(InvalidRequest, match=r"The labels in bad\.npz are"):
        load_labels(tmp_path / "bad.npz")
