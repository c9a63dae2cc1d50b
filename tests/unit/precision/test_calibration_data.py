"""Calibration data in every form, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from core.base.errors import InvalidRequest
from core.base.tensors import Signature, TensorSpec
from core.models.onnx_graph import graph_signature
from core.precision.calibration.check import check_data
from core.precision.calibration.samples import SampleSource, open_data
from core.precision.settings import ImageOptions, PrecisionSettings

IMAGE = Signature(
    name="main",
    inputs=(TensorSpec(name="image", dtype="float32", shape=("batch", 3, 8, 8)),),
    outputs=(TensorSpec(name="logits", dtype="float32", shape=("batch", 5)),),
)
TEXT = Signature(
    name="main",
    inputs=(
        TensorSpec(name="ids", dtype="int32", shape=("batch", "length")),
        TensorSpec(name="mask", dtype="int32", shape=("batch", "length")),
    ),
    outputs=(),
)
RNG = np.random.default_rng(0)
TEN = RNG.uniform(0, 1, (10, 3, 8, 8)).astype(np.float32)


def images(count: int = 10) -> np.ndarray:
    return TEN[:count]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_row_by_row(tmp_path: Path, save: object) -> None:
    save(tmp_path / "data.npz", image=images(), labels=np.arange(10))  # type: ignore[operator]
    data = open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE)
    assert (data.count, data.calibrated) == (10, True)
    for _ in range(2):  # any number of times
        np.testing.assert_array_equal(np.concatenate([sample["image"] for sample in data.read()]), images())


def test_an_npy_feeds_the_only_input(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", images())
    samples = list(open_data(SampleSource(path=tmp_path / "data.npy"), IMAGE).read())
    assert [sample["image"].shape for sample in samples] == [(1, 3, 8, 8)] * 10


def test_an_npy_for_two_inputs_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros((2, 4), np.int32))
    with pytest.raises(InvalidRequest, match="cannot tell which of the inputs ids, mask"):
        open_data(SampleSource(path=tmp_path / "data.npy"), TEXT)


def test_a_folder_may_hold_batches_and_single_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=images(4))
    np.savez(tmp_path / "b.npz", image=images(1)[0])
    data = open_data(SampleSource(path=tmp_path), IMAGE)
    assert data.count == 5
    np.testing.assert_array_equal(list(data.read())[4]["image"], images(1))


def test_lengths_may_differ_from_file_to_file(tmp_path: Path) -> None:
    for length in (4, 7):
        ids = np.ones((2, length), np.int64)
        np.savez(tmp_path / f"{length}.npz", ids=ids, mask=ids)
    samples = list(open_data(SampleSource(path=tmp_path), TEXT).read())
    assert [sample["ids"].shape for sample in samples] == [(1, 4), (1, 4), (1, 7), (1, 7)]
    assert samples[0]["ids"].dtype == np.int32


def test_a_limit_spreads_over_the_whole_set(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=images())
    data = open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE, PrecisionSettings(samples=3))
    assert data.count == 3
    assert data.indices[0] == 0
    assert data.indices[-1] == 9
    assert data.description == "3 of 10 samples of data.npz"


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=images())
    spec = TensorSpec(name="image", dtype="float32", shape=(4, 3, 8, 8))
    data = open_data(SampleSource(path=tmp_path / "data.npz"), Signature(name="main", inputs=(spec,), outputs=()))
    assert [sample["image"].shape[0] for sample in data.read()] == [4, 4]
    np.savez(tmp_path / "few.npz", image=images(3))
    with pytest.raises(InvalidRequest, match="3 samples; the model takes 4 at a time"):
        open_data(SampleSource(path=tmp_path / "few.npz"), Signature(name="main", inputs=(spec,), outputs=()))


@pytest.fixture
def folder_of_images(tmp_path: Path) -> Path:
    for index, name in enumerate(("cat/a.png", "dog/b.png")):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((16, 12, 3), 51 * (index + 1), np.uint8)).save(path)
    return tmp_path / "images"


def test_images_are_resized_scaled_and_laid_out(folder_of_images: Path) -> None:
    options = PrecisionSettings(images=ImageOptions(mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)))
    first, second = (sample["image"] for sample in open_data(SampleSource(path=folder_of_images), IMAGE, options).read())
    assert first.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(first[0, :, 0, 0], (0.2 - np.array([0.1, 0.2, 0.3])) / 0.5, atol=1e-6)
    np.testing.assert_allclose(second[0, :, 3, 3], (0.4 - np.array([0.1, 0.2, 0.3])) / 0.5, atol=1e-6)


def test_images_for_open_sizes_need_a_size(folder_of_images: Path) -> None:
    spec = TensorSpec(name="image", dtype="float32", shape=("batch", "height", "width", 3))
    signature = Signature(name="main", inputs=(spec,), outputs=())
    with pytest.raises(InvalidRequest, match="images of any size"):
        open_data(SampleSource(path=folder_of_images), signature)
    data = open_data(SampleSource(path=folder_of_images), signature, PrecisionSettings(images=ImageOptions(size=(6, 4))))
    assert next(data.read())["image"].shape == (1, 6, 4, 3)


def test_a_file_that_is_no_image_is_named(folder_of_images: Path) -> None:
    (folder_of_images / "cat" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InvalidRequest, match=r"broken\.jpg could not be read as a picture"):
        list(open_data(SampleSource(path=folder_of_images), IMAGE).read())


def test_without_data_there_are_seeded_random_values() -> None:
    data = open_data(SampleSource(random_samples=3, seed=4, expected={"image": (-1.0, 1.0)}), IMAGE)
    again = open_data(SampleSource(random_samples=3, seed=4, expected={"image": (-1.0, 1.0)}), IMAGE)
    assert (data.calibrated, data.count) == (False, 3)
    first, second = (np.concatenate([sample["image"] for sample in one.read()]) for one in (data, again))
    np.testing.assert_array_equal(first, second)
    assert first.min() < -0.9
    assert len(np.unique(first[:, 0, 0, 0])) == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"picture": TEN}, r"lacks image. It has picture; the model's inputs are image"),
        ({"image": TEN.transpose(0, 2, 3, 1)}, r"has the shape \[10, 8, 8, 3\]; the model takes \[samples, 3, 8, 8\]"),
        ({"image": np.array([None, "x"], dtype=object)}, "Python objects"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_read(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InvalidRequest, match=message):
        open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE)


def test_unequal_counts_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", ids=np.ones((4, 3), np.int32), mask=np.ones((5, 3), np.int32))
    with pytest.raises(InvalidRequest, match="has 4 of ids, 5 of mask"):
        open_data(SampleSource(path=tmp_path / "data.npz"), TEXT)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really"])
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"data\.npz could not be read"):
        open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE)


def test_missing_and_empty_places_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="There is no calibration data at"):
        open_data(SampleSource(path=tmp_path / "nowhere"), IMAGE)
    with pytest.raises(InvalidRequest, match="holds no calibration data that we read"):
        open_data(SampleSource(path=tmp_path), IMAGE)


def test_fractions_for_whole_numbers_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", ids=np.full((2, 3), 0.5), mask=np.ones((2, 3), np.int32))
    with pytest.raises(InvalidRequest, match="Input ids takes int32, not float64"):
        list(open_data(SampleSource(path=tmp_path / "data.npz"), TEXT).read())


# --- values -----------------------------------------------------------------------------------------------------------


def checked(tmp_path: Path, model: onnx.ModelProto, array: np.ndarray, **how: object) -> tuple[str, ...]:
    np.savez(tmp_path / "data.npz", image=array)
    return check_data(open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE), model, **how).warnings  # type: ignore[arg-type]


def test_good_data_have_no_warnings(tmp_path: Path, residual: onnx.ModelProto) -> None:
    assert checked(tmp_path, residual, images()) == ()
    assert checked(tmp_path, residual, images(), expected={"image": (0.0, 1.0)}) == ()


def test_nan_is_told_with_its_sample(tmp_path: Path, residual: onnx.ModelProto) -> None:
    bad = images().copy()
    bad[3, 0, 0, 0] = np.nan
    with pytest.raises(InvalidRequest, match="sample 3 has NaN or infinite values in image"):
        checked(tmp_path, residual, bad)


def test_constant_data_are_refused(tmp_path: Path, residual: onnx.ModelProto) -> None:
    with pytest.raises(InvalidRequest, match=r"image is 0\.5 everywhere"):
        checked(tmp_path, residual, np.full((2, 3, 8, 8), 0.5, np.float32))


def test_unscaled_pixels_are_warned_of(tmp_path: Path, residual: onnx.ModelProto) -> None:
    (warning,) = checked(tmp_path, residual, images() * 255)
    assert "looks like unscaled pixels" in warning


def test_the_wrong_scale_is_refused_where_the_right_one_is_known(tmp_path: Path, residual: onnx.ModelProto) -> None:
    for wrong in (images() * 255, images() / 255):
        with pytest.raises(InvalidRequest, match="where the model expects 0 to 1: the scale is wrong"):
            checked(tmp_path, residual, wrong, expected={"image": (0.0, 1.0)})


def test_a_model_that_scales_by_itself_expects_pixels(tmp_path: Path, make_network: object) -> None:
    body = "s = Div (image, c255) r = Sub (s, c05) y = Relu (r)"
    model = make_network(  # type: ignore[operator]
        body,
        inputs="float[batch,3,8,8] image",
        outputs="float[batch,3,8,8] y",
        weights={"c255": np.array(127.5), "c05": np.array(1.0)},
    )
    assert checked(tmp_path, model, images() * 255) == ()
    np.savez(tmp_path / "data.npz", image=images())
    found = check_data(open_data(SampleSource(path=tmp_path / "data.npz"), IMAGE), model).inputs[0]
    assert found.first_low == pytest.approx(found.low / 127.5 - 1)


@pytest.fixture
def with_side_input(tmp_path: Path) -> onnx.ModelProto:
    """A product of an image and a factor, and a mask that the model itself makes very large."""
    nodes = [
        onnx.helper.make_node("Mul", ["image", "factor"], ["scaled"]),
        onnx.helper.make_node("Mul", ["mask", "huge"], ["away"]),
        onnx.helper.make_node("Add", ["scaled", "away"], ["y"]),
    ]
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("image", "factor", "mask")]
    huge = onnx.numpy_helper.from_array(np.float32(1e12), "huge")
    graph = onnx.helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name="y")], [huge])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def sides(tmp_path: Path, model: onnx.ModelProto, **arrays: np.ndarray) -> tuple[str, ...]:
    np.savez(tmp_path / "sides.npz", **arrays)
    return check_data(open_data(SampleSource(path=tmp_path / "sides.npz"), graph_signature(model)), model).warnings


def test_a_side_input_may_be_the_same_in_all_samples(tmp_path: Path, with_side_input: onnx.ModelProto) -> None:
    image = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    mask = (image > 0).astype(np.float32)
    (note,) = sides(tmp_path, with_side_input, image=image, factor=np.ones((8, 4), np.float32), mask=mask)
    assert note == "factor is 1 in all of the calibration data: the ranges hold for that value alone."


def test_what_the_model_makes_large_is_not_unscaled(tmp_path: Path, with_side_input: onnx.ModelProto) -> None:
    image = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    assert sides(tmp_path, with_side_input, image=image, factor=image, mask=(image > 0).astype(np.float32)) == ()
    (warning,) = sides(tmp_path, with_side_input, image=image, factor=image, mask=np.abs(image) * 255)
    assert "looks like unscaled" in warning


def test_samples_of_which_nothing_changes_are_refused(tmp_path: Path, with_side_input: onnx.ModelProto) -> None:
    same = np.ones((8, 4), np.float32)
    with pytest.raises(InvalidRequest, match="1 everywhere in the calibration data"):
        sides(tmp_path, with_side_input, image=same, factor=same, mask=same)
