"""What every backend promises, checked on every format and variant that it takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.backends.base import Backend, BuildConfig, Engine, Preflights, all_backends
from core.base.errors import EngineRoomError, InvalidRequest, RunFailed, Unavailable
from core.base.files import folder_bytes
from core.base.profile import AxisRange, ShapeProfile
from core.base.progress import Progress
from core.base.serialization import from_data, to_data
from core.graph.engine_graph import EngineGraph
from core.models.model import Format
from core.request.running import not_run_here, runs_elsewhere

BACKENDS = list(all_backends().values())
HEAVY = {"ai_edge_litert", "keras", "onnxruntime", "openvino", "tensorflow", "tensorrt", "tensorrt_rtx", "tf2onnx"}
PROFILE = ShapeProfile(axes={"batch": AxisRange(min=1, opt=2, max=4)})
BATCHES = (1, 2, 4)
# Every variant on the format that the backend names first, and its first variant on the others.
PARTS = [
    (backend, variant.name, taken)
    for backend in BACKENDS
    for variant in backend.variants
    for taken in backend.accepts
    if taken is backend.accepts[0] or variant is backend.variants[0]
]


@dataclass(frozen=True, kw_only=True)
class Built:
    """An engine, moved away from where it was built, with its model gone."""

    backend: Backend
    engine: Engine
    case: Any
    reports: list[Progress]

    def inputs(self, batch: int = 2) -> dict[str, np.ndarray]:
        return dict(self.case.inputs[batch])


def config_for(backend: Backend, variant: str) -> BuildConfig:
    here = backend.availability()
    if not here.available:
        pytest.skip(f"{here.reason} {here.hint}")
    return BuildConfig(variant=variant, profile=PROFILE, device=here.builds_on[0], threads=2)


@pytest.fixture(scope="module", params=PARTS, ids=lambda part: "-".join(filter(None, (part[0].name, part[1], part[2].value))))
def built(
    request: pytest.FixtureRequest,
    cases: Callable[[Format], Any],
    copied: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Built]:
    backend, variant, taken = request.param
    config = config_for(backend, variant)
    case = cases(taken)
    place = tmp_path_factory.mktemp("engine")
    folder = place / "built"
    folder.mkdir()
    model = copied(case.source)
    reports: list[Progress] = []
    engine = backend.build(replace(case.source, path=model), config, folder, reports.append)
    shutil.rmtree(model.parent)
    moved = place / "moved"
    folder.rename(moved)
    yield Built(backend=backend, engine=replace(engine, folder=moved), case=case, reports=reports)
    shutil.rmtree(place)


def told_elsewhere(built: Built) -> str:
    config = built.engine.config
    return not_run_here(runs_elsewhere(built.backend, config.device, built.backend.availability(), config.options))


@pytest.fixture
def running(built: Built) -> Built:
    """The engine, where it can be run."""
    if not_run := told_elsewhere(built):
        pytest.skip(f"{built.backend.title} is {not_run}.")
    return built


@pytest.fixture(scope="module")
def described(built: Built) -> EngineGraph:
    return built.backend.describe(built.engine)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_says_what_it_is(backend: Backend) -> None:
    here = backend.availability()
    assert here.version and here.builds_on and here.runs_on if here.available else here.reason.endswith(".") and here.hint
    assert all_backends()[backend.name] is backend
    assert backend.title
    assert backend.accepts
    assert backend.precisions
    names = [variant.name for variant in backend.variants]
    assert names
    assert len(set(names)) == len(names)
    assert len({option.name for option in backend.options}) == len(backend.options)
    for option in backend.options:
        assert option.help
        assert not option.choices or option.default in option.choices


def test_availability_imports_no_runtime() -> None:
    script = """import json, sys
from core.backends.base import all_backends
for backend in all_backends().values():
    backend.availability()
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(json.loads(done.stdout))


def test_the_record_of_a_build_is_whole(built: Built) -> None:
    engine = built.engine
    assert engine.backend == built.backend.name
    assert engine.signature == built.case.source.signature
    assert engine.versions
    assert all(engine.versions.values())
    assert (engine.folder / engine.artifact).exists()
    assert engine.size_bytes == folder_bytes(engine.folder, [engine.artifact]) > 0
    assert from_data(Engine, to_data(engine)) == engine
    assert built.reports


@pytest.mark.parametrize("batch", BATCHES)
def test_gives_the_right_outputs_at_every_point_of_the_profile(running: Built, batch: int) -> None:
    with running.backend.open(running.engine) as session:
        outputs = session.run(running.inputs(batch))
    expected = running.case.outputs[batch]
    assert list(outputs) == [spec.name for spec in running.engine.signature.outputs]
    for name, value in outputs.items():
        assert isinstance(value, np.ndarray)
        assert value.dtype == expected[name].dtype
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-4)


def test_gives_the_same_outputs_each_time(running: Built) -> None:
    with running.backend.open(running.engine) as session:
        first = session.run(running.inputs())
        kept = {name: value.copy() for name, value in first.items()}
        session.run({name: np.zeros_like(value) for name, value in running.inputs().items()})
        again = session.run(running.inputs())
    with running.backend.open(running.engine) as session:
        elsewhere = session.run(running.inputs())
    for name, value in kept.items():
        np.testing.assert_array_equal(first[name], value, err_msg="A later run wrote over an earlier one's output.")
        np.testing.assert_array_equal(again[name], value)
        np.testing.assert_array_equal(elsewhere[name], value)


def test_takes_arrays_as_callers_have_them(running: Built) -> None:
    inputs = running.inputs()
    strided = {name: np.asfortranarray(value) for name, value in inputs.items()}
    frozen = {name: value.copy() for name, value in inputs.items()}
    for value in frozen.values():
        value.flags.writeable = False
    with running.backend.open(running.engine) as session:
        expected, from_strided, from_frozen = (session.run(given) for given in (inputs, strided, frozen))
    for name, value in expected.items():
        np.testing.assert_array_equal(from_strided[name], value)
        np.testing.assert_array_equal(from_frozen[name], value)


def test_two_sessions_work_at_once(running: Built) -> None:
    with ExitStack() as both:
        one, other = (both.enter_context(running.backend.open(running.engine)) for _ in range(2))
        results = [one.run(running.inputs(1)), other.run(running.inputs(4)), one.run(running.inputs(1))]
    for name in results[0]:
        # TF-TRT then answers the batch of 1 with the engine that it made for the batch of 4; everyone else gives the same bits.
        rounding = 1e-5 if running.backend.name == "tf-trt" else 0
        np.testing.assert_allclose(results[0][name], results[2][name], rtol=rounding)
        np.testing.assert_allclose(results[1][name], running.case.outputs[4][name], rtol=1e-3, atol=1e-4)


def _without(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in inputs.items() if name != "shift"}


def _with_another(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"mask": np.zeros(3, np.float32)}


def _of_another_type(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"image": inputs["image"].astype(np.float64)}


def _of_another_rank(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"image": inputs["image"][0]}


def _of_another_width(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"image": inputs["image"][:, :, :-1, :]}


def _of_two_batches(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"shift": np.repeat(inputs["shift"], 2, axis=0)[:3]}


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_without, "shift"),
        (_with_another, "mask"),
        (_of_another_type, "float64"),
        (_of_another_rank, "image"),
        (_of_another_width, "image"),
        (_of_two_batches, ""),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_refuses_wrong_inputs_in_a_sentence_and_goes_on(running: Built, spoil: Callable[..., Any], word: str) -> None:
    with running.backend.open(running.engine) as session:
        with pytest.raises((InvalidRequest, RunFailed)) as caught:
            session.run(spoil(running.inputs()))
        assert word in caught.value.message
        assert len(caught.value.message.splitlines()) == 1
        outputs = session.run(running.inputs())
    np.testing.assert_allclose(outputs["probabilities"], running.case.outputs[2]["probabilities"], rtol=1e-3, atol=1e-4)


def test_an_engine_that_cannot_run_here_says_why(built: Built) -> None:
    if not told_elsewhere(built):
        pytest.skip("It runs here.")
    with pytest.raises((Unavailable, RunFailed)) as caught, built.backend.open(built.engine):
        pass
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_accounts_for_every_source_node(described: EngineGraph) -> None:
    names = [node.name for node in described.source_nodes]
    assert names
    assert len(set(names)) == len(names)
    carried = {name for layer in described.layers for name in layer.source_nodes}
    loose = [node.name for node in described.loose_nodes]
    assert carried | set(loose) == set(names)
    assert carried.isdisjoint(loose)
    assert all(node.reason for node in described.loose_nodes)
    assert from_data(EngineGraph, to_data(described)) == described


def test_layers_are_told_apart_and_in_source_order(described: EngineGraph) -> None:
    assert described.layers
    assert max(Counter(layer.name for layer in described.layers).values()) == 1
    place = {node.name: index for index, node in enumerate(described.source_nodes)}
    for layer in described.layers:
        assert layer.kind
        assert layer.time_ms is None
        assert [place[name] for name in layer.source_nodes] == sorted(place[name] for name in layer.source_nodes)


def test_describes_itself_the_same_each_time(built: Built, described: EngineGraph) -> None:
    again = built.backend.describe(built.engine)
    assert [(layer.name, layer.kind, layer.source_nodes) for layer in again.layers] == [
        (layer.name, layer.kind, layer.source_nodes) for layer in described.layers
    ]


def test_layer_times_are_of_described_layers(running: Built, described: EngineGraph) -> None:
    times = running.backend.layer_times(running.engine, running.inputs(), 3)
    assert times.keys() <= {layer.name for layer in described.layers}
    assert all(time >= 0 for time in times.values())
    assert not times or sum(times.values()) > 0


@pytest.mark.parametrize("backend", [one for one in BACKENDS if isinstance(one, Preflights)], ids=lambda backend: backend.name)
def test_one_that_can_be_asked_takes_every_node_of_what_it_builds(
    backend: Any, cases: Callable[[Format], Any], tmp_path: Path
) -> None:
    """The cases are built by the tests above."""
    assert set(backend.asked_about) <= set(backend.accepts)
    config = config_for(backend, backend.variants[0].name)
    for taken in backend.asked_about:
        folder = tmp_path / taken.value
        folder.mkdir()
        support = backend.preflight(cases(taken).source, config, folder, lambda progress: None)
        assert support.complete, support.not_taken
        assert support.nodes
        assert support.regions == 1
        assert support.way
        assert support.versions


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    "wrong",
    [{"variant": "no-such-variant"}, {"options": {"no_such_option": 1}}, {"device": "abacus"}, {"threads": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_refuses_what_it_does_not_have(
    backend: Backend, wrong: dict[str, Any], cases: Callable[[Format], Any], tmp_path: Path
) -> None:
    config = replace(config_for(backend, backend.variants[0].name), **wrong)
    with pytest.raises((InvalidRequest, Unavailable)) as caught:
        backend.build(cases(backend.accepts[0]).source, config, tmp_path, lambda progress: None)
    assert caught.value.hint


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_broken_model_ends_in_an_error_of_ours(backend: Backend, cases: Callable[[Format], Any], tmp_path: Path) -> None:
    taken = next(f for f in backend.accepts if f is not Format.SAVEDMODEL or len(backend.accepts) == 1)
    config = config_for(backend, backend.variants[0].name)
    source = cases(taken).source
    broken = tmp_path / "broken" / source.path.name
    if source.path.is_dir():
        broken.mkdir(parents=True)
        broken = broken.joinpath("saved_model.pb")
        spoiled = replace(source, path=broken.parent)
    else:
        broken.parent.mkdir()
        spoiled = replace(source, path=broken)
    broken.write_bytes(b"\x08\x01not a model at all")
    with pytest.raises(EngineRoomError) as caught:
        backend.build(spoiled, config, tmp_path, lambda progress: None)
    assert caught.value.message
