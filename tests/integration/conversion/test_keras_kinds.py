"""Keras models that nest their tensors, look words up or keep a state: named, run and saved as a SavedModel with right values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.backends.base import BuildConfig
from core.backends.litert import BACKEND as LITERT
from core.backends.tensorflow import BACKEND as TENSORFLOW
from core.base.errors import BuildFailed, ConversionFailed
from core.base.lean import import_keras
from core.base.progress import silent
from core.conversion.onnx_from_savedmodel import OnnxFromSavedModel
from core.conversion.savedmodel_from_keras import SavedModelFromKeras
from core.conversion.tflite_from_savedmodel import TfliteFromSavedModel
from core.models.keras_ends import flat_call
from core.models.keras_model import read_keras
from core.models.model import Format, Source

keras = import_keras()
layers = keras.layers
RNG = np.random.default_rng(0)
pytestmark = [
    pytest.mark.usefixtures("forked"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning", "ignore:.*tf.lite.Interpreter:UserWarning"),
]
Values = dict[str, np.ndarray]


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def dicts() -> tuple[Any, Values, Callable[[Any], Mapping[str, Any]]]:
    """Dicts in whose sorted order no layer's name is, one key of which two branches have."""
    keras.utils.set_random_seed(1)
    near, far = keras.Input((4,), dtype="int32", name="near"), keras.Input((4,), name="far")
    both = layers.Concatenate()([layers.Rescaling(0.5)(near), far])
    heads = {"score": layers.Dense(3, name="a")(both), "box": layers.Dense(2, name="b")(both)}
    tail = {"score": layers.Dense(1, name="z")(far), "steps": [layers.Dense(5, name="y")(far), layers.Dense(6, name="x")(far)]}
    model = keras.Model({"views": {"near": near, "far": far}}, {"heads": heads, "tail": tail})
    fed = {"near": RNG.integers(-5, 5, (3, 4)).astype(np.int32), "far": normal(3, 4)}

    def expected(loaded: Any) -> Mapping[str, Any]:
        told = loaded({"views": fed})
        return {
            "box": told["heads"]["box"],
            "heads_score": told["heads"]["score"],
            "tail_score": told["tail"]["score"],
            "steps_0": told["tail"]["steps"][0],
            "steps_1": told["tail"]["steps"][1],
        }

    return model, fed, expected


def lists() -> tuple[Any, Values, Callable[[Any], Mapping[str, Any]]]:
    """Lists in lists, one input of which may be left out; their names are those of the inputs and layers."""
    keras.utils.set_random_seed(2)
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two", optional=True)
    three = keras.Input((4,), name="three")
    shared = layers.Dense(3, name="shared")
    model = keras.Model([one, [two, three]], [shared(one), [shared(two), layers.Dense(2, name="last")(three)]])
    fed = {"one": normal(2, 4), "two": normal(2, 4), "three": normal(2, 4)}

    def expected(loaded: Any) -> Mapping[str, Any]:
        first, (second, third) = loaded([fed["one"], [fed["two"], fed["three"]]])
        return {"shared": first, "shared_1": second, "last": third}

    return model, fed, expected


def words() -> tuple[Any, Values, Callable[[Any], Mapping[str, Any]]]:
    """Tables in a layer, in a layer's layer and in a model's model."""
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=5)
    vectorize.adapt(["the cat sat", "a dog ran", "the engine room"])
    text, kind, code = (keras.Input((), dtype=dtype, name=name) for name, dtype in TEXTS)
    inner = keras.Sequential([keras.Input((), dtype="string"), layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")])
    tokens = layers.Embedding(20, 4)(vectorize(text))
    number = layers.IntegerLookup(vocabulary=[7, 9], output_mode="multi_hot")(code)
    model = keras.Model(
        [text, kind, code], {"mean": layers.GlobalAveragePooling1D()(tokens), "kind": inner(kind), "code": number}
    )
    fed = {"text": np.array(["The cat!", "zzz"]), "kind": np.array(["y", "q"]), "code": np.array([9, 1])}
    return model, fed, lambda loaded: loaded([fed[name].astype(object) if name != "code" else fed[name] for name, _ in TEXTS])


TEXTS = (("text", "string"), ("kind", "string"), ("code", "int64"))
MAKERS = {"dicts": dicts, "lists": lists, "words": words}


@pytest.fixture(scope="module", params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Values, Values]:
    model, fed, expected = MAKERS[request.param]()
    return saved(model, tmp_path_factory.mktemp(request.param)), fed, {k: np.asarray(v) for k, v in expected(model).items()}


def saved(model: Any, folder: Path) -> Source:
    path = folder / "model.keras"
    model.save(path)
    (signature,) = read_keras(path).signatures
    return Source(path=path, format=Format.KERAS, signature=signature)


def as_savedmodel(source: Source, folder: Path) -> Source:
    folder.mkdir()
    SavedModelFromKeras().convert(source, folder, silent)
    return Source(path=folder, format=Format.SAVEDMODEL, signature=source.signature)


def check(backend: Any, source: Source, fed: Values, expected: Values, folder: Path, variant: str = "") -> None:
    folder.mkdir()
    engine = backend.build(source, BuildConfig(variant=variant, threads=1), folder, silent)
    with backend.open(engine) as session:
        told = session.run(fed)
    assert set(told) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(told[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_tensors_have_the_names_by_which_keras_gives_them(made: tuple[Source, Values, Values]) -> None:
    source, fed, expected = made
    assert {spec.name for spec in source.signature.inputs} == set(fed)
    assert {spec.name for spec in source.signature.outputs} == set(expected)
    assert all(spec.shape is not None for spec in source.signature.outputs)


def test_the_model_runs_as_it_is_and_as_a_savedmodel(made: tuple[Source, Values, Values], tmp_path: Path) -> None:
    source, fed, expected = made
    check(TENSORFLOW, source, fed, expected, tmp_path / "keras", "signature")
    check(TENSORFLOW, as_savedmodel(source, tmp_path / "saved"), fed, expected, tmp_path / "engine", "signature")


@pytest.mark.parametrize("make", [dicts, lists])
def test_nested_tensors_reach_tflite(make: Any, tmp_path: Path) -> None:
    model, fed, expected = make()
    source = as_savedmodel(saved(model, tmp_path), tmp_path / "saved")
    (tmp_path / "lite").mkdir()
    TfliteFromSavedModel().convert(source, tmp_path / "lite", silent)
    lite = Source(path=tmp_path / "lite" / "model.tflite", format=Format.TFLITE, signature=source.signature)
    check(LITERT, lite, fed, {k: np.asarray(v) for k, v in expected(model).items()}, tmp_path / "engine")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_state_is_kept_from_call_to_call(kind: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    chunk = keras.Input(batch_shape=(1, 4, 3), name="chunk")
    model = keras.Model(chunk, getattr(layers, kind)(5, stateful=True, name="h")(chunk))
    source = saved(model, tmp_path)
    chunks = normal(3, 1, 4, 3)
    expected = [np.asarray(model(one)) for one in chunks]
    assert np.abs(expected[1] - np.asarray(keras.models.load_model(source.path)(chunks[1]))).max() > 0.01  # the state matters
    onward = as_savedmodel(source, tmp_path / "saved")
    for number, given in enumerate((source, onward)):
        folder = tmp_path / str(number)
        folder.mkdir()
        engine = TENSORFLOW.build(given, BuildConfig(variant="signature", threads=1), folder, silent)
        with TENSORFLOW.open(engine) as session:
            for one, right in zip(chunks, expected, strict=True):
                np.testing.assert_allclose(session.run({"chunk": one})["h"], right, rtol=1e-4, atol=1e-5)
    with pytest.raises(BuildFailed, match=r"from one call to the next, written by .*Assign"):
        TENSORFLOW.build(source, BuildConfig(variant="frozen"), tmp_path, silent)
    with pytest.raises(ConversionFailed, match="Signature main keeps values from one call to the next"):
        OnnxFromSavedModel().convert(onward, tmp_path, silent)


def test_variables_are_saved_once(tmp_path: Path) -> None:
    rows = keras.Input((100,), name="rows")
    source = as_savedmodel(saved(keras.Model(rows, layers.Dense(500)(rows)), tmp_path), tmp_path / "saved")
    size = sum(file.stat().st_size for file in source.path.rglob("*") if file.is_file())
    assert 4 * 101 * 500 <= size < 4 * 101 * 500 * 1.5


def test_a_model_added_under_older_names_goes_by_order(tmp_path: Path) -> None:
    from dataclasses import replace

    model, fed, _ = dicts()
    (signature,) = read_keras(saved(model, tmp_path).path).signatures
    older = tuple(replace(spec, name=f"layer_{index}") for index, spec in enumerate(signature.outputs))
    told = flat_call(model, replace(signature, outputs=older))(fed["far"], fed["near"])
    assert [tuple(value.shape[1:]) for value in told] == [spec.shape[1:] for spec in signature.outputs]
