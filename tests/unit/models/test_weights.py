import pytest

from core.models.weights import WeightTotal, bits, is_weight


@pytest.mark.parametrize(
    ("dtype", "width"),
    [("float32", 32), ("bfloat16", 16), ("int4", 4), ("bool", 8), ("float8_e4m3fn", 8), ("float4e2m1", 4), ("complex64", 64)],
)
def test_bits(dtype: str, width: int) -> None:
    assert bits(dtype) == width


@pytest.mark.parametrize(
    ("dtype", "shape", "weight"),
    [
        ("float32", (3,), True),
        ("float32", (), False),
        ("int64", (4,), False),
        ("int32", (4, 2), False),
        ("int64", (1000,), True),
        ("int8", (4,), True),
        ("int8", (3, 3), True),
        ("string", (9, 9), False),
        ("bool", (9, 9), False),
    ],
)
def test_is_weight(dtype: str, shape: tuple[int, ...], weight: bool) -> None:
    assert is_weight(dtype, shape) is weight


def test_total_packs_small_types() -> None:
    assert WeightTotal().plus("int4", (3, 3)).plus("float16", (2,)) == WeightTotal(11, 9)
