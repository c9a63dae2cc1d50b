"""Names of nested tensors, from what leads to each and from a config alone."""

from core.models.keras_ends import names_of
from core.models.keras_model import _config_outputs


def test_a_key_names_a_tensor_and_all_keys_do_where_two_are_the_same() -> None:
    paths = [("heads", "box"), ("heads", "score"), ("tail", "score"), ("tail", "steps", 0), (0,), (1, "last", 2)]
    plain = ["a", "b", "c", "d", "dense", "e"]
    assert names_of(paths, plain) == ["box", "heads_score", "tail_score", "steps_0", "dense", "last_2"]
    assert names_of([(0,), (1,), (2,)], ["dense", "dense", "dense"]) == ["dense", "dense_1", "dense_2"]


def test_a_config_names_outputs_as_the_loaded_model_does() -> None:
    def config(outputs: object) -> dict[str, object]:
        return {"config": {"layers": [], "output_layers": outputs}}

    assert list(_config_outputs(config(["last", 0, 0]))) == ["last"]
    assert list(_config_outputs(config([["one", 0, 0], ["two", 0, 0]]))) == ["one", "two"]
    nested = {"tail": {"score": ["a", 0, 0]}, "heads": {"score": ["b", 0, 0], "box": [["c", 0, 0], ["d", 0, 0]]}}
    assert list(_config_outputs(config(nested))) == ["box_0", "box_1", "heads_score", "tail_score"]
