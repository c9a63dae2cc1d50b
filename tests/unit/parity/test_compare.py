"""Comparing outputs: against figures computed another way, and at the edges."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from scipy.spatial import distance

from core.base.errors import InvalidRequest
from core.base.precision import Precision
from core.base.serialization import from_data, to_data
from core.base.tensors import Array
from core.parity import output as output_module
from core.parity.compare import compare
from core.parity.result import OutputParity, Parity


def one(reference: object, candidate: object, tolerance: float = 1e-3) -> tuple[OutputParity, Parity]:
    found = compare([{"y": np.asarray(reference)}], [{"y": np.asarray(candidate)}], tolerance)
    return found.outputs[0], found


def noisy(seed: int, shape: tuple[int, ...], scale: float = 1e-4) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=shape).astype(np.float32)
    return reference, reference + scale * rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (2, 10)])
def test_figures_over_several_sets_are_those_of_all_sets_at_once(shape: tuple[int, ...]) -> None:
    pairs = [noisy(seed, shape) for seed in range(4)]
    found = compare(({"y": a} for a, _ in pairs), ({"y": b} for _, b in pairs), 1e-3).outputs[0]
    a, b = (np.concatenate([pair[i].ravel() for pair in pairs]).astype(np.float64) for i in (0, 1))
    assert found.elements == a.size
    assert found.max_abs == pytest.approx(np.abs(a - b).max(), rel=1e-12)
    assert found.max_rel == pytest.approx(np.abs(a - b).max() / np.abs(a).max(), rel=1e-12)
    assert found.cosine == pytest.approx(1 - distance.cosine(a, b), rel=1e-12)
    assert found.unequal is None


def test_large_outputs_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, candidate = noisy(1, (1000,))
    whole = one(reference, candidate)[0]
    monkeypatch.setattr(output_module, "_PIECE", 7)
    pieces = one(reference, candidate)[0]
    assert (pieces.max_abs, pieces.max_rel) == (whole.max_abs, whole.max_rel)
    assert pieces.cosine == pytest.approx(whole.cosine, rel=1e-12)


def test_identical_outputs_pass_at_no_tolerance() -> None:
    found, parity = one([1.5, -2.0], [1.5, -2.0], tolerance=0.0)
    assert (found.max_abs, found.max_rel) == (0.0, 0.0)
    assert found.cosine == pytest.approx(1.0)
    assert parity.passed


def test_tolerance_is_of_the_relative_error() -> None:
    assert one([1000.0, 0.0], [1000.5, 0.0])[1].passed
    assert not one([1000.0, 0.0], [1001.5, 0.0])[1].passed


def test_scalars_and_empty_outputs() -> None:
    found, parity = one(np.float32(2.0), np.float32(2.0))
    assert (found.elements, found.max_abs, parity.passed) == (1, 0.0, True)
    found, parity = one(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))
    assert (found.elements, found.max_abs, found.max_rel, found.cosine, found.top1) == (0, None, None, None, None)
    assert (parity.on_par, parity.verdict) == (None, "uncompared")
    assert parity.notes[0].startswith("Nothing is told of outputs that were empty for all inputs: y.")


def test_one_empty_output_among_others_is_told_of() -> None:
    outputs = {"boxes": np.zeros((0, 4), np.float32), "scores": np.ones(3, np.float32)}
    found = compare([outputs], [outputs], 1e-3)
    assert (found.on_par, found.worst, len(found.notes)) == (True, "scores", 1)


def test_all_zeros() -> None:
    found, parity = one([0.0, 0.0], [0.0, 0.0])
    assert (found.max_rel, found.cosine, parity.passed) == (0.0, None, True)
    found, parity = one([0.0, 0.0], [0.0, 1e-9])
    assert (found.max_rel, parity.passed) == (math.inf, False)


def test_equal_nan_and_infinities_are_equal() -> None:
    values = [1.0, math.nan, math.inf, -math.inf]
    found, parity = one(values, values)
    assert (found.non_finite, found.reference_non_finite, found.unequal, parity.passed) == (0, 3, 0, True)
    assert found.max_abs == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_became_non_finite_fails(bad: float) -> None:
    found, parity = one([1.0, 2.0, 3.0], [1.0, bad, 3.0])
    assert (found.non_finite, found.max_abs, parity.passed) == (1, 0.0, False)


@pytest.mark.parametrize("other", [0.0, math.nan, -math.inf])
def test_another_value_than_the_references_infinity_fails(other: float) -> None:
    found, parity = one([1.0, math.inf], [1.0, other])
    assert (found.non_finite, found.reference_non_finite, found.unequal, parity.passed) == (0, 1, 1, False)


def test_nothing_finite_at_all() -> None:
    found, parity = one([math.nan], [math.nan])
    assert (found.max_abs, found.cosine, parity.passed) == (0.0, None, True)
    assert not one([math.nan], [1.0])[1].passed


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.bool_])
def test_integers_and_booleans_must_be_equal(dtype: type) -> None:
    reference = np.array([0, 1, 1, 0], dtype=dtype)
    assert one(reference, reference)[1].passed
    found, parity = one(reference, reference[::-1], tolerance=10.0)
    assert (found.unequal, found.elements, parity.passed) == (0, 4, True)
    changed = reference.copy()
    changed[0] = 1
    found, parity = one(reference, changed, tolerance=10.0)
    assert (found.unequal, found.max_abs, parity.passed) == (1, 1.0, False)


def test_neighbours_beyond_a_doubles_precision_differ() -> None:
    found, parity = one(np.array([2**60]), np.array([2**60 + 1]))
    assert (found.unequal, parity.passed) == (1, False)
    assert found.max_abs == 1.0


def test_extremes_of_integers_do_not_wrap() -> None:
    assert one(np.array([-128], np.int8), np.array([127], np.int8))[0].max_abs == 255.0
    assert one(np.array([0], np.uint8), np.array([255], np.uint8))[0].max_abs == 255.0


def test_text_is_equal_whatever_holds_it() -> None:
    reference = np.array([b"caf\xc3\xa9", b"x"], dtype=object)
    assert one(reference, np.array(["café", "x"]))[1].passed
    found, parity = one(reference, np.array(["cafe", "x"], dtype=object))
    assert (found.unequal, found.max_abs, found.max_rel, parity.passed) == (1, None, None, False)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, np.float64])
def test_floats_of_other_widths_are_compared_by_value(dtype: type) -> None:
    values = np.array([0.5, 1.0, 1.5], dtype=np.float32)
    found, parity = one(values, values.astype(dtype))
    assert found.max_abs == 0.0
    assert parity.passed
    assert f"{np.dtype(dtype).name} here and float32 in the source" in parity.notes[0]
    assert one(values.astype(dtype), values.astype(dtype))[1].notes == ()


def test_complex_numbers_are_compared_by_both_parts() -> None:
    found, parity = one(np.array([1 + 1j]), np.array([1 + 3j]))
    assert (found.max_abs, found.elements, parity.passed) == (2.0, 1, False)


def test_shape_and_type_mismatches_are_said() -> None:
    found, parity = one(np.zeros((2, 3)), np.zeros((3, 2)))
    assert found.mismatch == "Its shape is [3, 2] here and [2, 3] in the source model."
    assert (found.max_abs, parity.passed) == (None, False)
    found, parity = one(np.zeros(2, np.float32), np.zeros(2, np.int64))
    assert found.mismatch == "Its type is int64 here and float32 in the source model."
    assert not parity.passed


def test_missing_and_extra_outputs() -> None:
    found = compare([{"a": np.ones(2), "b": np.ones(2)}], [{"b": np.ones(2), "c": np.ones(2)}], 1e-3)
    assert found.outputs[0].mismatch == "The engine does not give this output."
    assert (found.worst, found.passed) == ("a", False)
    assert "lacks: c." in found.notes[0]


def test_the_worst_output_is_named() -> None:
    reference = {name: np.array([1.0, 10.0]) for name in "abcd"}
    slightly, more = np.array([1.0, 10.001]), np.array([1.0, 10.2])
    assert compare([reference], [{**reference, "b": slightly, "c": more}], 0.01).worst == "c"
    broken = np.array([math.nan, 10.0])
    assert compare([reference], [{**reference, "b": broken, "c": more}], 0.01).worst == "b"
    assert compare([reference], [{**reference, "b": broken, "d": np.ones(3)}], 0.01).worst == "d"


def test_top1_counts_samples_over_sets() -> None:
    reference = [{"y": np.array([[0.1, 0.9], [0.8, 0.2]])}, {"y": np.array([[0.4, 0.6], [0.3, 0.7]])}]
    candidate = [{"y": np.array([[0.2, 0.8], [0.1, 0.9]])}, {"y": np.array([[0.4, 0.6], [0.3, 0.7]])}]
    assert compare(reference, candidate, 1.0).outputs[0].top1 == 0.75


def test_top1_ties_agree_and_nan_does_not() -> None:
    assert one([[0.2, 0.8]], [[0.5, 0.5]])[0].top1 == 1.0
    assert one([[0.2, 0.8], [0.9, 0.1]], [[math.nan, 0.8], [0.9, 0.1]])[0].top1 == 0.5
    assert one([[math.nan, 0.8], [0.9, 0.1]], [[0.3, 0.8], [0.9, 0.1]])[0].top1 == 1.0


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 3, 4)])
def test_other_shapes_are_no_classifiers(shape: tuple[int, ...]) -> None:
    assert one(np.ones(shape), np.ones(shape))[0].top1 is None
    assert one(np.ones((2, 3), np.int64), np.ones((2, 3), np.int64))[0].top1 is None


def test_huge_values_do_not_end_in_a_warning() -> None:
    found, parity = one([1e300, -1e300], [1e300, -1e300])
    assert (found.max_rel, found.cosine, parity.passed) == (0.0, None, True)
    found, parity = one([1.7e308], [-1.7e308])
    assert (found.max_abs, parity.passed) == (math.inf, False)


def test_unequal_counts_of_sets_and_none_at_all_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Only the reference has outputs for set 2"):
        compare([{"y": np.ones(1)}] * 2, [{"y": np.ones(1)}], 1e-3)
    with pytest.raises(InvalidRequest, match="Only the engine has outputs for set 1"):
        compare([], [{"y": np.ones(1)}], 1e-3)
    with pytest.raises(InvalidRequest, match="no outputs to compare"):
        compare([], [], 1e-3)


def test_a_model_without_outputs_does_not_pass() -> None:
    found = compare([{}], [{}], 1e-3)
    assert (found.worst, found.passed, found.on_par) == ("", False, False)


def test_parity_survives_json() -> None:
    found = compare([{"y": np.array([0.0])}], [{"y": np.array([1.0])}], 1e-3, inputs="random", reference_title="TensorFlow")
    assert from_data(Parity, to_data(found)) == found


def test_every_precision_has_a_tolerance_and_narrow_types_get_more() -> None:
    order = [Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP8]
    assert [p.facts.tolerance for p in order] == sorted(p.facts.tolerance for p in order)
    # One rounding of the reference itself must pass in its own precision.
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for precision, dtype in [
        (Precision.FP16, np.float16), (Precision.BF16, ml_dtypes.bfloat16), (Precision.FP8, ml_dtypes.float8_e4m3fn)
    ]:  # fmt: skip
        assert one(values, values.astype(dtype), precision.facts.tolerance)[1].passed
        assert not one(values, values.astype(dtype), Precision.FP32.facts.tolerance / 100)[1].passed


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3fn", "bfloat16"])
def test_floats_that_numpy_lacks_are_compared(name: str) -> None:
    given = np.array([1, 2, 0.5], np.float32).astype(getattr(ml_dtypes, name))
    assert compare([{"y": given}], [{"y": given}], 1e-3).on_par
    other = np.array([1, 4, 0.5], np.float32).astype(getattr(ml_dtypes, name))
    assert compare([{"y": given}], [{"y": other}], 1e-3).on_par is False
