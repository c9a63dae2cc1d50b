"""Input checks: one wording for every backend."""

from __future__ import annotations

import numpy as np
import pytest

from core.backends._inputs import as_text, check_inputs
from core.base.errors import InvalidRequest
from core.base.tensors import Signature, TensorSpec

SIGNATURE = Signature(
    name="serving_default",
    inputs=(
        TensorSpec(name="image", dtype="float32", shape=("batch", 2, 3)),
        TensorSpec(name="label", dtype="string", shape=None),
    ),
    outputs=(),
)
IMAGE = np.zeros((4, 2, 3), np.float32)
LABEL = np.array(["cat", "dog"])


def test_order_is_the_signatures_and_text_becomes_objects() -> None:
    checked = check_inputs(SIGNATURE, {"label": LABEL, "image": IMAGE})
    assert list(checked) == ["image", "label"]
    assert checked["label"].dtype == object
    assert checked["label"].tolist() == ["cat", "dog"]


def test_arrays_become_contiguous_native_and_keep_their_values() -> None:
    awkward = np.arange(24, dtype=">f4").reshape(3, 2, 4).transpose(2, 1, 0)
    image = check_inputs(SIGNATURE, {"image": awkward, "label": LABEL})["image"]
    assert image.flags.c_contiguous
    assert image.dtype.isnative
    np.testing.assert_array_equal(image, awkward)


def test_a_scalar_stays_a_scalar() -> None:
    signature = Signature(name="f", inputs=(TensorSpec(name="x", dtype="int64", shape=()),), outputs=())
    assert check_inputs(signature, {"x": np.int64(3)})["x"].shape == ()


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"image": IMAGE}, "no input label"),
        ({"image": IMAGE, "label": LABEL, "mask": IMAGE}, "an unknown input mask"),
        ({"image": IMAGE.astype(np.float64), "label": LABEL}, r"given float64 \[4, 2, 3\]"),
        ({"image": IMAGE[0], "label": LABEL}, r"given float32 \[2, 3\]"),
        ({"image": IMAGE[:, :1], "label": LABEL}, r"given float32 \[4, 1, 3\]"),
        ({"image": IMAGE, "label": np.zeros(2, np.int32)}, r"given int32 \[2\]"),
    ],
)
def test_a_wrong_input_is_refused_with_what_is_expected(inputs: dict[str, np.ndarray], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        check_inputs(SIGNATURE, inputs)
    assert "float32 [batch, 2, 3]" in caught.value.hint or "label: string of any shape" in caught.value.hint


def test_bytes_that_are_no_text_stay_bytes() -> None:
    assert as_text(np.array([b"caf\xc3\xa9", b"\xff\xd8"], dtype=object)).tolist() == ["café", b"\xff\xd8"]
    assert as_text(np.array(b"one", dtype=object)).item() == "one"
