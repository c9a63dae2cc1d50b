from core.base.tensors import Signature
from core.models.axes import RawTensor, with_symbols


def raw(name: str, *shape: int | str | None) -> RawTensor:
    return RawTensor(name=name, dtype="float32", shape=shape)


def shapes(signature: Signature) -> list[tuple[int | str, ...] | None]:
    return [spec.shape for spec in (*signature.inputs, *signature.outputs)]


def test_leading_axis_of_all_inputs_is_batch() -> None:
    found = with_symbols("s", [raw("a", None, 3), raw("b", None, 4, 4), raw("c")], [raw("y", None, None)])
    assert shapes(found) == [("batch", 3), ("batch", 4, 4), (), ("batch", "y_1")]
    assert found.symbols == ("batch",)


def test_leading_axis_of_some_inputs_is_not_batch() -> None:
    found = with_symbols("s", [raw("a", None, 3), raw("b", 7, 3)], [raw("y", None)])
    assert shapes(found) == [("a_0", 3), (7, 3), ("y_0",)]


def test_inputs_of_one_pattern_share_their_axes() -> None:
    found = with_symbols("s", [raw("ids", None, None), raw("mask", None, None), raw("image", None, None, 3)], [])
    assert shapes(found) == [("batch", "dim_1"), ("batch", "dim_1"), ("batch", "image_1", 3)]


def test_two_patterns_do_not_share() -> None:
    inputs = [raw("a", None, None), raw("b", None, None), raw("c", None, None, 3), raw("d", None, None, 3)]
    assert shapes(with_symbols("s", inputs, [])) == [
        ("batch", "dim_1"),
        ("batch", "dim_1"),
        ("batch", "dim_1_2", 3),
        ("batch", "dim_1_2", 3),
    ]


def test_own_symbols_are_kept_and_never_met_by_chance() -> None:
    found = with_symbols("s", [raw("a", "N", "b_0"), raw("b", None)], [raw("y", "N")], share=False)
    assert shapes(found) == [("N", "b_0"), ("b_0_",), ("N",)]


def test_unknown_rank_and_awkward_names() -> None:
    odd = RawTensor(name="x", dtype="float32", shape=None)
    assert shapes(with_symbols("s", [odd, raw("a/b:0", 2, None)], [])) == [None, (2, "a_b_0_1")]
