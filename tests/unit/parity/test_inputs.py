"""Random inputs and the user's own."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from core.base.errors import InvalidRequest
from core.base.profile import AxisRange, ShapeProfile, parse_profile
from core.base.tensors import Axis, Signature, TensorSpec
from core.parity.batches import batch_length, batch_symbol
from core.parity.inputs import describe_file, describe_random, fits, load_inputs, parse_ranges, random_inputs

DEFAULT = ShapeProfile()


def spec(name: str, dtype: str = "float32", shape: tuple[Axis, ...] | None = ("batch", 3)) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def signature(*inputs: TensorSpec) -> Signature:
    return Signature(name="serve", inputs=inputs, outputs=())


IMAGE = signature(spec("image", shape=("batch", 4, 4, 3)))
TEXT = signature(spec("ids", "int32", ("batch", "sequence")), spec("mask", "int32", ("batch", "sequence")))


# Random inputs


def test_random_inputs_depend_on_seed_set_and_name_alone() -> None:
    both = signature(spec("a"), spec("b"))
    first, again = random_inputs(both, DEFAULT, 1, 2), random_inputs(both, DEFAULT, 1, 2)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["a"], other["a"])
    assert not np.array_equal(first[0]["a"], first[1]["a"])
    assert not np.array_equal(first[0]["a"], first[0]["b"])
    assert not np.array_equal(first[0]["a"], random_inputs(both, DEFAULT, 2, 1)[0]["a"])
    np.testing.assert_array_equal(first[0]["b"], random_inputs(signature(spec("b")), DEFAULT, 1)[0]["b"])


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float32", 0, 1), ("float64", 0, 1), ("float16", 0, 1), ("bfloat16", 0, 1), ("float8_e4m3fn", 0, 1),
        ("int32", 0, 1), ("int64", 0, 1), ("uint16", 0, 1), ("int4", 0, 1), ("int8", -128, 127), ("uint8", 0, 255),
    ],
)  # fmt: skip
def test_random_elements_have_the_type_and_fill_the_range(dtype: str, low: int, high: int) -> None:
    got = random_inputs(signature(spec("x", dtype, (40, 50))), DEFAULT)[0]["x"]
    assert got.dtype.name == dtype
    values = got.astype(np.float64)
    assert low <= values.min() < values.max() <= high
    assert values.max() - values.min() > 0.95 * (high - low)


def test_random_booleans_text_and_complex_numbers() -> None:
    inputs = signature(spec("flag", "bool", (64,)), spec("text", "string", (64,)), spec("wave", "complex64", (64,)))
    got = random_inputs(inputs, DEFAULT)[0]
    assert got["flag"].dtype == np.bool_
    assert set(got["flag"].tolist()) == {True, False}
    assert got["text"].dtype == object
    assert len(set(got["text"].tolist())) > 3
    assert all(isinstance(word, str) for word in got["text"])
    assert got["wave"].dtype == np.complex64
    assert got["wave"].imag.std() > 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "uint8", "bool", "string"])
def test_scalars_and_empty_shapes(dtype: str) -> None:
    got = random_inputs(signature(spec("s", dtype, ()), spec("e", dtype, (0, 2))), DEFAULT)[0]
    assert isinstance(got["s"], np.ndarray)
    assert (got["s"].shape, got["e"].shape) == ((), (0, 2))
    assert got["s"].dtype.name == {"string": "object"}.get(dtype, dtype)


def test_dynamic_axes_take_the_opt_point() -> None:
    got = random_inputs(TEXT, parse_profile(["batch=1:2:4", "sequence=16"]))[0]
    assert {name: value.shape for name, value in got.items()} == {"ids": (2, 16), "mask": (2, 16)}


def test_ranges_are_given_by_name() -> None:
    ranges = parse_ranges(["ids=100:200", "a=b=-1:1"])
    assert ranges == {"ids": (100.0, 200.0), "a=b": (-1.0, 1.0)}
    got = random_inputs(TEXT, DEFAULT, ranges={"ids": ranges["ids"]})[0]
    assert got["ids"].min() >= 100
    assert got["ids"].max() < 200
    assert set(np.unique(got["mask"])) == {0, 1}
    for dtype, bounds in {"uint64": (2.0**63, 2.0**64), "int64": (-(2.0**63), 2.0**63), "int4": (-8.0, 8.0)}.items():
        assert random_inputs(signature(spec("x", dtype)), DEFAULT, ranges={"x": bounds})[0]["x"].dtype.name == dtype
    got = random_inputs(IMAGE, DEFAULT, ranges={"image": (-1.0, 1.0)})[0]
    assert -1 <= got["image"].min() < -0.5


@pytest.mark.parametrize(
    "text", ["ids", "ids=", "ids=5", "ids=5:2", "ids=2:2", "=1:2", "ids=a:b", "ids=0:inf", "ids=nan:1", "ids=1:2:3"]
)
def test_broken_ranges_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Could not read the range"):
        parse_ranges([text])


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="which is no input"):
        random_inputs(IMAGE, DEFAULT, ranges={"picture": (0, 1)})
    with pytest.raises(InvalidRequest, match="is of uint8"):
        random_inputs(signature(spec("x", "uint8")), DEFAULT, ranges={"x": (0, 1000)})
    with pytest.raises(InvalidRequest, match="is of int32"):
        random_inputs(signature(spec("x", "int32")), DEFAULT, ranges={"x": (0.2, 0.8)})
    with pytest.raises(InvalidRequest, match="is of int64"):
        random_inputs(signature(spec("x", "int64")), DEFAULT, ranges={"x": (0, 1e30)})
    with pytest.raises(InvalidRequest, match="no known rank"):
        random_inputs(signature(spec("x", shape=None)), DEFAULT)
    with pytest.raises(InvalidRequest, match="No element type is called 'float33'"):
        random_inputs(signature(spec("x", "float33")), DEFAULT)
    with pytest.raises(InvalidRequest, match="at least 1 set"):
        random_inputs(IMAGE, DEFAULT, sets=0)


def test_random_inputs_fit_their_signature() -> None:
    mixed = signature(
        spec("a", "bfloat16"), spec("b", "int64", ("batch", "sequence")), spec("t", "string", ("batch",)), spec("s", "bool", ())
    )
    for one in random_inputs(mixed, DEFAULT, 3, 2):
        fitted = fits(one, mixed, DEFAULT)
        assert {name: value.dtype for name, value in fitted.items()} == {name: value.dtype for name, value in one.items()}


# The user's file


def saved(path: Path, **arrays: object) -> Path:
    np.savez(path / "mine.npz", **arrays)  # type: ignore[arg-type]
    return path / "mine.npz"


def test_samples_are_cut_into_batches_with_a_smaller_last_one(tmp_path: Path) -> None:
    images = np.arange(10 * 48, dtype=np.float32).reshape(10, 4, 4, 3)
    got = load_inputs(saved(tmp_path, image=images, labels=np.arange(10)), IMAGE, parse_profile(["batch=1:4:8"]))
    assert [one["image"].shape[0] for one in got] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([one["image"] for one in got]), images)


def test_a_last_batch_below_the_profile_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, image=np.zeros((10, 4, 4, 3), np.float32))
    with pytest.raises(InvalidRequest, match=r"image is given as \[2, 4, 4, 3\], and takes \[batch=4, 4, 4, 3\]"):
        load_inputs(path, IMAGE, parse_profile(["batch=4"]))


def test_a_fixed_leading_axis_is_cut_by_its_length(tmp_path: Path) -> None:
    fixed = signature(spec("image", shape=(2, 3)))
    assert len(load_inputs(saved(tmp_path, image=np.zeros((6, 3), np.float32)), fixed, DEFAULT)) == 3
    with pytest.raises(InvalidRequest, match="multiple of its length"):
        load_inputs(saved(tmp_path, image=np.zeros((5, 3), np.float32)), fixed, DEFAULT)


def test_inputs_without_a_batch_go_with_every_set(tmp_path: Path) -> None:
    mixed = signature(spec("x"), spec("threshold", shape=()))
    got = load_inputs(saved(tmp_path, x=np.zeros((3, 3), np.float32), threshold=np.float32(0.5)), mixed, DEFAULT)
    assert [float(one["threshold"]) for one in got] == [0.5] * 3


def test_the_sequence_is_not_cut(tmp_path: Path) -> None:
    ids = np.ones((2, 100), np.int32)
    got = load_inputs(saved(tmp_path, ids=ids, mask=ids), TEXT, DEFAULT)
    assert [one["ids"].shape for one in got] == [(1, 100), (1, 100)]
    with pytest.raises(InvalidRequest, match="sequence=1 to 256"):
        load_inputs(saved(tmp_path, ids=np.ones((1, 300), np.int32), mask=np.ones((1, 300), np.int32)), TEXT, DEFAULT)


def test_one_symbol_is_one_length(tmp_path: Path) -> None:
    path = saved(tmp_path, ids=np.ones((1, 10), np.int32), mask=np.ones((1, 12), np.int32))
    with pytest.raises(InvalidRequest, match="Axis sequence is 10 in input ids and 12 in input mask"):
        load_inputs(path, TEXT, DEFAULT)


def test_unequal_counts_of_samples_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path, ids=np.ones((6, 8), np.int32), mask=np.ones((4, 8), np.int32))
    with pytest.raises(InvalidRequest, match="has ids for 6 batches, but mask for 4"):
        load_inputs(path, TEXT, DEFAULT)


def test_wrong_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"mine\.npz lacks image and has an unknown img") as error:
        load_inputs(saved(tmp_path, img=np.zeros(1)), IMAGE, DEFAULT)
    assert error.value.hint == "The inputs are: image."


@pytest.mark.parametrize("shape", [(4, 4, 3), (2, 4, 4), (2, 5, 4, 3), (0, 4, 4, 3)])
def test_wrong_shapes_are_told(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match=r"Input image is given as \[.*\], and takes \[batch=1 to 8, 4, 4, 3\]"):
        load_inputs(saved(tmp_path, image=np.zeros(shape, np.float32)), IMAGE, DEFAULT)


@pytest.mark.parametrize(
    ("dtype", "value", "ok"),
    [
        ("float32", np.float64(0.1), True), ("float32", np.uint8(7), True), ("bfloat16", np.float32(1.0), True),
        ("int32", np.int64(5), True), ("bool", np.int64(1), True), ("int64", np.uint8(9), True),
        ("int32", np.float32(1.0), False), ("int8", np.int64(200), False), ("uint8", np.int64(-1), False),
        ("bool", np.int64(2), False),
        ("float32", np.complex64(1j), False), ("string", np.float32(1), False), ("float32", "text", False),
        ("float16", np.float32(1e6), False), ("float32", np.datetime64("2024-01-01"), False),
    ],
)  # fmt: skip
def test_types_convert_where_nothing_is_lost(tmp_path: Path, dtype: str, value: object, ok: bool) -> None:
    path, takes = saved(tmp_path, x=np.array([value])), signature(spec("x", dtype, ("batch",)))
    if ok:
        got = load_inputs(path, takes, DEFAULT)[0]["x"]
        assert got.dtype.name == dtype
        assert float(got[0]) == pytest.approx(float(value))  # type: ignore[arg-type]
    else:
        with pytest.raises(InvalidRequest, match="Input x"):
            load_inputs(path, takes, DEFAULT)


def test_text_and_bfloat16_survive_the_file(tmp_path: Path) -> None:
    takes = signature(spec("text", "string", ("batch",)), spec("raw", "string", ("batch",)), spec("x", "bfloat16", ("batch",)))
    path = saved(
        tmp_path,
        text=np.array(["café", "b"]),
        raw=np.array([b"caf\xc3\xa9", b"b"]),
        x=np.array([1.5, 2.5], dtype=ml_dtypes.bfloat16),
    )
    got = load_inputs(path, takes, DEFAULT)
    assert [one["text"][0] for one in got] == ["café", "b"]
    assert [one["raw"][0] for one in got] == ["café", "b"]
    assert [float(one["x"][0]) for one in got] == [1.5, 2.5]
    assert got[0]["x"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(("bad", "count"), [(np.nan, "1 element that is"), (np.inf, "1 element that is")])
def test_nan_and_infinities_are_told(tmp_path: Path, bad: float, count: str) -> None:
    images = np.zeros((2, 4, 4, 3), np.float32)
    images[1, 0, 0, 0] = bad
    with pytest.raises(InvalidRequest, match=f"Input image is given with {count} NaN or infinite"):
        load_inputs(saved(tmp_path, image=images), IMAGE, DEFAULT)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.npz"
    garbage = tmp_path / "garbage.npz"
    garbage.write_bytes(b"hello, not numpy")
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    torn = saved(tmp_path, image=np.zeros((2, 4, 4, 3), np.float32))
    torn.write_bytes(torn.read_bytes()[:200])
    for path in (missing, garbage, empty, single, torn, tmp_path):
        with pytest.raises(InvalidRequest, match=path.name):
            load_inputs(path, IMAGE, DEFAULT)


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, image=np.zeros((2, 4, 4, 3), np.float32))
    data = bytearray(path.read_bytes())
    data[200:240] = b"\xff" * 40
    path.write_bytes(bytes(data))
    with pytest.raises(InvalidRequest, match="broken"):
        load_inputs(path, IMAGE, DEFAULT)


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = saved(tmp_path, image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidRequest, match="Python objects are not read"):
        load_inputs(path, IMAGE, DEFAULT)


# Batches and words


@pytest.mark.parametrize(
    ("inputs", "symbol", "length"),
    [
        ([("batch", 3)], "batch", 4), ([("N", 3)], "N", 1), ([("unknown", 3)], "unknown", 64),
        ([("time", "batch", 3)], "batch", 4), ([(8, 3), (8, 5)], None, 8), ([(8, 3), (7, 3)], None, 1),
        ([(128,)], None, 1), ([()], None, 1), ([None], None, 1), ([], None, 1),
    ],
)  # fmt: skip
def test_the_batch_axis_is_found(inputs: list[tuple[Axis, ...] | None], symbol: str | None, length: int) -> None:
    of = signature(*(spec(f"x{n}", shape=shape) for n, shape in enumerate(inputs)))
    assert batch_symbol(of) == symbol
    assert batch_length(of, parse_profile(["batch=4"])) == length


def test_a_model_without_inputs_has_one_empty_set(tmp_path: Path) -> None:
    assert random_inputs(signature(), DEFAULT, sets=2) == [{}, {}]
    assert load_inputs(saved(tmp_path), signature(), DEFAULT) == [{}]


def test_origins_are_told_in_words() -> None:
    assert describe_random(0, 4) == "random, seed 0, 4 sets"
    assert describe_random(7, 1) == "random, seed 7, 1 set"
    assert describe_file(Path("/data/digits.npz"), 3) == "digits.npz, 3 sets"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_first_set_is_read_alone(tmp_path, save):
    spec = TensorSpec(name="x", dtype="float32", shape=("batch", 1000))
    signature = Signature(name="s", inputs=(spec,), outputs=())
    profile = ShapeProfile(axes={"batch": AxisRange(min=1, opt=8, max=8)})
    rows = np.arange(5_000_000, dtype=np.float32).reshape(5000, 1000)
    save(tmp_path / "many.npz", x=rows)
    tracemalloc.start()
    (first,) = load_inputs(tmp_path / "many.npz", signature, profile, most=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(first["x"], rows[:8])
    assert peak < rows.nbytes / 4


@pytest.mark.parametrize("shape", [(3, 4), (4,), ()])
def test_arrays_without_many_rows_are_read_as_ever(tmp_path, shape):
    signature = Signature(name="s", inputs=(TensorSpec(name="x", dtype="float32", shape=shape),), outputs=())
    np.savez(tmp_path / "one.npz", x=np.ones(shape, np.float32, order="F"))
    (first,) = load_inputs(tmp_path / "one.npz", signature, ShapeProfile(), most=1)
    np.testing.assert_array_equal(first["x"], np.ones(shape))
