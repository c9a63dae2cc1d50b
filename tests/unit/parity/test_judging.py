"""What is no error, and what tells nothing: NaN everywhere, randomness, a step of a grid, a sigmoid near 0, a narrow source."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.base.serialization import from_data, to_data
from core.parity.compare import compare
from core.parity.judging import Judging, smallest_told
from core.parity.result import OutputParity, Parity

STEP = Judging(step=1.0)
SIGMOID = Judging(logistic=True)


def one(reference: object, candidate: object, judging: Judging, tolerance: float = 1e-3) -> tuple[OutputParity, Parity]:
    found = compare([{"y": np.asarray(reference)}], [{"y": np.asarray(candidate)}], tolerance, judging={"y": judging})
    return found.outputs[0], found


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([math.nan, math.nan], "the reference is NaN on these inputs"),
        ([math.inf, -math.inf], "the reference is infinite on these inputs"),
        ([math.nan, math.inf], "the reference is NaN or infinite on these inputs"),
    ],
)
def test_outputs_that_are_nowhere_finite_are_not_on_par(values: list[float], why: str) -> None:
    parity = compare([{"y": np.array(values)}], [{"y": np.array(values)}], 1e-3)
    assert (parity.on_par, parity.verdict, parity.uncompared) == (None, "uncompared", why)
    assert parity.notes[0].startswith(f"Output y was not compared: {why}.")


def test_a_finite_output_beside_one_of_nan_is_judged_and_the_other_told() -> None:
    both = {"a": np.array([math.nan]), "b": np.array([1.0])}
    parity = compare([both], [both], 1e-3)
    assert (parity.on_par, parity.uncompared, parity.worst) == (True, "", "b")
    assert "Output a was not compared" in parity.notes[0]
    assert compare([both], [{**both, "b": np.array([2.0])}], 1e-3).on_par is False
    assert compare([both], [{**both, "a": np.array([1.0])}], 1e-3).on_par is False


def test_a_share_of_nan_is_told() -> None:
    values = np.array([math.nan, 1.0, 2.0, 3.0])
    parity = compare([{"y": values}], [{"y": values}], 1e-3)
    assert parity.on_par is True
    assert parity.notes == ("Output y: 0.25 of its values are NaN or infinite in the source model, and not compared.",)


def test_what_differs_between_two_runs_of_the_source_is_not_compared() -> None:
    found, parity = one([1.0, 2.0], [7.0, 9.0], Judging(unsteady=0.4))
    assert (parity.on_par, parity.uncompared) == (None, "not deterministic, cannot be compared")
    assert found.is_judged is False
    # Rounding that differs from run to run is no randomness.
    assert one([1.0, 2.0], [7.0, 9.0], Judging(unsteady=1e-6))[1].on_par is False
    assert one([1.0, 2.0], [1.0], Judging(unsteady=0.4))[1].on_par is False


def test_one_step_of_quantized_integers_is_no_error_and_is_counted() -> None:
    reference = np.array([10, 20, 30, 40], np.int8)
    found, parity = one(reference, np.array([11, 20, 29, 40], np.int8), STEP)
    assert (parity.on_par, found.stepped, found.steps, found.unequal) == (True, 2, 1, None)
    assert parity.notes == ("Output y is quantized: 2 of 4 elements differ, by one step.",)
    found, parity = one(reference, np.array([12, 20, 30, 40], np.int8), STEP)
    assert (parity.on_par, found.stepped, found.steps) == (False, 1, 2)
    assert one(reference, np.array([11, 20, 30, 40], np.int8), Judging())[1].on_par is False
    assert one(np.array([127, -128], np.int8), np.array([-128, 127], np.int8), STEP)[0].steps == 255


def test_a_narrow_precision_may_be_off_by_as_many_steps_as_its_tolerance_has() -> None:
    reference, off = np.array([10, 20], np.uint8), np.array([35, 20], np.uint8)
    assert one(reference, off, STEP, tolerance=0.1)[1].on_par is True
    assert one(reference, off + 1, STEP, tolerance=0.1)[1].on_par is False


def test_steps_of_a_grid_are_no_error_in_floats_either() -> None:
    grid = Judging(step=0.05)
    reference = np.array([0.0, 0.5, 1.0], np.float32)
    found, parity = one(reference, reference + np.float32(0.05), grid)
    assert (parity.on_par, found.stepped, found.steps) == (True, 3, 1)
    assert one(reference, reference + np.float32(0.1), grid)[1].on_par is False
    assert one(reference, reference + np.float32(0.05), Judging())[1].on_par is False


def test_a_sigmoid_near_zero_is_judged_by_what_went_into_it() -> None:
    small = np.full(8, 1.8e-7, np.float32)
    found, parity = one(small, small + np.float32(9e-8), SIGMOID)
    assert found.max_rel == pytest.approx(0.5, rel=0.01)
    assert parity.on_par is True
    assert "comes out of a sigmoid" in parity.notes[0]
    assert one(small, small + np.float32(9e-8), Judging())[1].on_par is False
    logits = np.linspace(-12, -8, 50)
    expected, near, far = (1 / (1 + np.exp(-logits - change)) for change in (0.0, 0.01, 0.5))
    found, parity = one(expected, near, SIGMOID)
    assert found.max_rel == pytest.approx(0.01, rel=0.01)
    assert found.head_rel == pytest.approx(0.01 / 12, rel=0.01)
    assert parity.on_par is True
    assert one(expected, far, SIGMOID)[1].on_par is False


def test_a_sigmoid_that_is_wrong_fails() -> None:
    expected = np.array([0.1, 0.9])
    assert one(expected, expected[::-1], SIGMOID)[1].on_par is False
    assert one(expected, np.zeros(2), SIGMOID)[1].on_par is False


def test_what_a_runtime_flushes_to_zero_is_no_error() -> None:
    tiny = np.array([1e-39], np.float32)
    assert one(tiny, np.zeros(1, np.float32), Judging())[1].on_par is True
    small = np.array([1e-30], np.float32)
    assert one(small, np.zeros(1, np.float32), Judging())[1].on_par is False
    assert smallest_told("float16") < 1e-6
    assert smallest_told("int8") == 0.0


def test_the_noise_of_a_narrow_source_is_the_bar() -> None:
    noisy = Judging(narrow="bfloat16", noise=4e-3)
    found, parity = one([1.0, 2.0], [1.0, 2.01], noisy)
    assert (parity.on_par, found.allowed) == (True, pytest.approx(0.02))
    assert "the source model's own rounding is that large" in parity.notes[0]
    assert one([1.0, 2.0], [1.0, 2.06], noisy)[1].on_par is False
    # Where the noise is not known, it is what a build in that type may be off.
    assert one([1.0, 2.0], [1.0, 2.01], Judging(narrow="bfloat16"))[0].allowed == 0.1
    assert one([1.0, 2.0], [1.0, 2.1], Judging(narrow="float16"))[1].on_par is False
    assert one([1.0, 2.0], [1.0, 2.1], noisy, tolerance=0.1)[0].allowed is None


def test_what_older_releases_recorded_is_still_read() -> None:
    found = to_data(compare([{"y": np.array([1.0])}], [{"y": np.array([1.0])}], 1e-3))
    new = ["compared", "reference_nan", "resolution", "head_rel", "allowed", "stepped", "steps", "levels", "unsteady"]
    found["outputs"] = [{name: value for name, value in one.items() if name not in new} for one in found["outputs"]]
    assert from_data(Parity, found).on_par is True
