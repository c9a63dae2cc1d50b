import pytest

from core.models.weights import WeightTotal, is_weight


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
